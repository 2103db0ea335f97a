"""Ctrl-C ends the step in which it is pressed, and the run goes on from there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import RunError
from affectgpt.training.loop import train
from affectgpt.training.run_folder import RunFolder

Build = Callable[..., Pipeline]
SETTINGS = (
    "training.steps=7",
    "training.gradient_accumulation=2",
    "training.checkpoint_every=1",
    "llm.frozen=true",
    "llm.lora={r: 2, dropout: 0.3}",
)


def pressed_within(pipeline: Pipeline, micro_batch: int) -> Pipeline:
    """A pipeline while whose forward pass number `micro_batch` (1, 2, ...) Ctrl-C is pressed."""
    passes: list[int] = []

    def press(*_: Any) -> None:
        passes.append(1)
        if len(passes) == micro_batch:
            os.kill(os.getpid(), signal.SIGINT)

    pipeline.register_forward_pre_hook(press)
    return pipeline


def test_ctrl_c_within_a_step_ends_that_step(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    # Two micro-batches a step: the sixth is the last of step 3.
    with pytest.raises(RunError, match="stopped after step 3"):
        train(pressed_within(build(*SETTINGS), 6), samples, run=run)
    again = train(build(*SETTINGS), samples, run=run, resume=True)
    assert again.resumed == 3 and again.losses == train(build(*SETTINGS), samples).losses


def test_ctrl_c_within_the_last_step_lets_the_run_finish(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    run, pipeline = RunFolder(tmp_path / "run"), pressed_within(build(*SETTINGS), 13)
    assert len(train(pipeline, samples, run=run).losses) == 7 and not pipeline.training


def test_ctrl_c_ends_the_step_and_writes_a_checkpoint(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    settings = (*SETTINGS, "training.checkpoint_every=100")
    history = train(build(*settings), samples)
    run = RunFolder(tmp_path / "run")
    before = signal.getsignal(signal.SIGINT)

    def press(step: int, _: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RunError, match="stopped after step 4") as caught:
        train(build(*settings), samples, run=run, on_step=press)
    assert "resume=True" in str(caught.value) and signal.getsignal(signal.SIGINT) is before
    again = train(build(*settings), samples, run=run, resume=True)
    assert again.resumed == 4 and again.losses == history.losses


def test_ctrl_c_writes_a_checkpoint_where_none_are_asked_for(
    build: Build, samples: list[Sample], tmp_path: Path
) -> None:
    settings = (*SETTINGS, "training.checkpoint_every=null")
    run = RunFolder(tmp_path / "run")

    def press(step: int, _: float) -> None:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RunError, match="stopped after step 2"):
        train(build(*settings), samples, run=run, on_step=press)
    assert train(build(*settings), samples, run=run, resume=True).resumed == 2
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000002"]


def test_a_second_ctrl_c_ends_it_at_once(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    def press(step: int, _: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(build(*SETTINGS), samples, run=RunFolder(tmp_path / "run"), on_step=press)
