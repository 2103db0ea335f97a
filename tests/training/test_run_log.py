"""The log of a run on a disk that refuses."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from affectgpt.registry.errors import RunError
from affectgpt.training import run_log as log


def test_a_row_that_the_disk_refuses_is_one_clear_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with (
            pytest.raises(RunError, match="the log cannot be written"),
            log.open_run_log(tmp_path / "log.jsonl", 0) as rows,
        ):
            rows.append({"step": 1, "loss": 1.0})
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "log.jsonl").stat().st_size + 5, before[0][1]))
            rows.append({"step": 2, "loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
