"""The benchmark of the host's time runs without a GPU and counts launches; its times are not looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_it_prints_a_ratio_and_the_launches_of_each_kind_of_call(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("needs a C compiler, as a launch of Triton does")
    process = subprocess.run(
        [sys.executable, "benchmarks/kernel_host.py", "--rounds", "1", "--calls", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=900,
        env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path)},
    )
    assert process.returncode == 0, process.stderr[-3000:]
    lines = process.stdout.splitlines()
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["1 launches", "2 launches", "2 launches"]
    assert all("times one token (" in line for line in lines)
