"""Checkpoints that are there and cannot be used, just now or at all, are never taken for a run without any."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.training import checkpoint_files
from affectgpt.training import checkpoints as saving
from affectgpt.training.loop import train
from affectgpt.training.run_folder import RunFolder

Build = Callable[..., Pipeline]
SETTINGS = ("training.steps=7", "training.checkpoint_every=1")


@pytest.fixture
def stopped(build: Build, samples: list[Sample], tmp_path: Path) -> RunFolder:
    """A run that was killed in step 5."""

    def stop(step: int, _: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    run = RunFolder(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        train(build(*SETTINGS), samples, run=run, on_step=stop)
    return run


def read_checkpoints(run: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_a_passing_read_error_ends_resume_and_costs_nothing(
    build: Build, samples: list[Sample], stopped: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_checkpoints(stopped)

    def gone(path: Path) -> str:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "sha256_of_file", gone)
        with pytest.raises(CheckpointError, match="cannot be read"):
            train(build(*SETTINGS), samples, run=stopped, resume=True)
    assert read_checkpoints(stopped) == before
    assert train(build(*SETTINGS), samples, run=stopped, resume=True).resumed == 4


def test_with_nothing_but_damaged_checkpoints_it_does_not_start_again(
    build: Build, samples: list[Sample], stopped: RunFolder
) -> None:
    for path in stopped.checkpoints.glob("*/tensors.safetensors"):
        os.truncate(path, 99)
    before = read_checkpoints(stopped)
    with pytest.raises(CheckpointError, match="none of the checkpoints") as caught:
        train(build(*SETTINGS), samples, run=stopped, resume=True)
    assert "move them away" in str(caught.value) and "has 99 bytes" in str(caught.value)
    assert read_checkpoints(stopped) == before


def test_with_nothing_but_unfinished_checkpoints_it_starts_again(
    build: Build, samples: list[Sample], stopped: RunFolder
) -> None:
    for path in stopped.checkpoints.glob("*/complete.json"):
        path.unlink()
    notes: list[str] = []
    again = train(build(*SETTINGS), samples, run=stopped, resume=True, on_note=notes.append)
    assert again.resumed == 0 and len(again.losses) == 7
    assert "interrupted" in notes[0] and "from the beginning" in notes[-1]


def test_processes_that_find_different_checkpoints_do_not_train(
    build: Build, samples: list[Sample], stopped: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_checkpoints(stopped)
    monkeypatch.setattr(saving, "gather_object", lambda own: [*own, "no checkpoint"])
    with pytest.raises(ConfigError, match="process 0: step 4; process 1: no checkpoint"):
        train(build(*SETTINGS), samples, run=stopped, resume=True)
    assert read_checkpoints(stopped) == before
