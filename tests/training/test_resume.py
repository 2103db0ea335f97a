"""A run that is stopped and resumed gives, bit for bit, what one that was left alone gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import BrokenClip, Sample
from affectgpt.registry.errors import CheckpointError, ConfigError, DataError, Problem
from affectgpt.training.loop import History, train
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.validation import Validation

Build = Callable[..., Pipeline]
HARD = (
    "training.steps=7",
    "training.gradient_accumulation=2",
    "training.batch_size=2",
    "training.modality_dropout=0.4",
    "training.warmup_steps=2",
    "training.target=mixed",
    "training.checkpoint_every=1",
    "encoders.face.frozen=false",
    "llm.frozen=true",
    "llm.lora={r: 2, dropout: 0.3}",
)
"""Dropout of two kinds, batch statistics, accumulation; with 5 clips an epoch ends within a step."""


class Killed(BaseException):
    """Ends a run as a kill does: nothing more is written."""


def mixed(samples: list[Sample]) -> list[Sample]:
    return [replace(each, labels=("glad", each.name)) for each in samples[:5]]


def stop_after(last: int) -> Callable[[int, float], None]:
    def stop(step: int, _: float) -> None:
        if step == last:
            raise Killed

    return stop


def rows(run: RunFolder) -> list[dict[str, Any]]:
    content = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert all(row["seconds"] >= 0 for row in content)
    return [{key: value for key, value in row.items() if key != "seconds"} for row in content]


def stopped_and_resumed(
    build: Build, samples: list[Sample], run: RunFolder, settings: tuple[str, ...], stops: list[int], **options: Any
) -> tuple[History, Pipeline]:
    for number, stop in enumerate(stops):
        with pytest.raises(Killed):
            train(build(*settings), samples, run=run, resume=number > 0, on_step=stop_after(stop), **options)
    pipeline = build(*settings)
    return train(pipeline, samples, run=run, resume=True, **options), pipeline


def same_weights(one: Pipeline, second: Pipeline) -> bool:
    states = one.state_dict(), second.state_dict()
    if states[0].keys() != states[1].keys():
        return False
    return all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_resumed_run_is_the_run_bit_for_bit(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    clips, runs = mixed(samples), RunFolder(tmp_path / "whole")
    complete = build(*HARD)
    history = train(complete, clips, run=runs)
    assert len(set(history.losses)) == 7 and history.resumed == 0
    for stops in ([2], [3], [4], [5], [6], [2, 3, 6]):
        run = RunFolder(tmp_path / "-".join(map(str, stops)))
        again, resumed = stopped_and_resumed(build, clips, run, HARD, stops)
        # The step whose end was not reached is taken again.
        assert again.resumed == stops[-1] - 1
        assert again.losses == history.losses and same_weights(complete, resumed)
        assert rows(run) == rows(runs) and len(rows(run)) == 7


class Lazy:
    """Clips that are decoded when they are asked for, in workers."""

    def __init__(self, samples: list[Sample], broken: str = "") -> None:
        self.samples, self.broken = samples, broken
        # Names and texts only: a sample here would be media that were read.
        self.examples = [replace(each, media={}) for each in samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample | BrokenClip:
        sample = self.samples[index]
        return BrokenClip(sample.name, Problem("it vanished")) if sample.name == self.broken else sample


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(build: Build, samples: list[Sample], tmp_path: Path, workers: int) -> None:
    clips, runs = mixed(samples), [RunFolder(tmp_path / name) for name in ("whole", "stopped")]
    complete = build(*HARD)
    history = train(complete, clips, run=runs[0])
    again, resumed = stopped_and_resumed(build, clips, runs[1], HARD, [4], workers=workers)  # type: ignore[arg-type]
    assert again.losses == history.losses and same_weights(complete, resumed) and rows(runs[0]) == rows(runs[1])
    lazily = train(build(*HARD), Lazy(clips), workers=workers)
    assert lazily.losses == history.losses


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_vanishes_is_named_and_not_replaced(build: Build, samples: list[Sample], workers: int) -> None:
    with pytest.raises(DataError, match=r"clip3 can no longer be read[\s\S]*it vanished"):
        train(build("training.steps=9"), Lazy(samples, broken="clip3"), workers=workers)


def test_between_two_checkpoints_the_steps_are_taken_again(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    settings = (*HARD, "training.checkpoint_every=3")
    runs = [RunFolder(tmp_path / name) for name in ("whole", "stopped")]
    history = train(build(*settings), mixed(samples), run=runs[0])
    again, _ = stopped_and_resumed(build, mixed(samples), runs[1], settings, [6])
    # Killed in step 6, before its checkpoint.
    assert again.resumed == 3 and again.losses == history.losses and rows(runs[0]) == rows(runs[1])
    assert len(history.losses) == 7


VALIDATED = (
    *HARD,
    "training.steps=9",
    "training.checkpoint_every=4",
    "training.validation_share=0.4",
    "training.validate_every=2",
)


# Ever lower, so that the best weights are overtaken between two checkpoints; or best long before the end.
FALLING, RISING = {2: 5.0, 4: 4.0, 6: 3.0, 8: 2.0, 9: 1.0}, {2: 2.0, 4: 1.0, 6: 3.0, 8: 4.0, 9: 5.0}


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        (FALLING, [7]),
        (RISING, [5]),
        pytest.param(FALLING, [3, 5, 8], marks=pytest.mark.slow),
        pytest.param(RISING, [2, 3, 4, 6, 7, 8, 9], marks=pytest.mark.slow),
    ],
)
def test_what_validation_found_survives(
    build: Build,
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    losses: dict[int, float],
    stops: Sequence[int],
) -> None:
    measure = Validation.loss

    def stated_loss(self: Validation, accelerator: Any, model: Any, step: int, lr: float) -> float:
        # Measured too, for what it does to the random state; its value differs from machine to machine.
        assert measure(self, accelerator, model, step, lr) > 0
        return losses[step]

    monkeypatch.setattr(Validation, "loss", stated_loss)
    first = RunFolder(tmp_path / "whole")
    complete = build(*VALIDATED)
    history = train(complete, mixed(samples), run=first)
    lowest = [step for step, loss in losses.items() if loss == min(loss for at, loss in losses.items() if at <= step)]
    assert [row["step"] for row in rows(first) if row.get("lowest")] == lowest
    assert history.best is not None and history.best.step == lowest[-1]
    for stop in stops:
        run = RunFolder(tmp_path / str(stop))
        again, resumed = stopped_and_resumed(build, mixed(samples), run, VALIDATED, [stop])
        assert again.best == history.best and again.losses == history.losses, stop
        assert same_weights(complete, resumed) and rows(run) == rows(first), stop


def test_the_last_step_can_be_resumed_from(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    settings = (*HARD, "training.checkpoint_every=100")
    run = RunFolder(tmp_path / "run")
    complete, again = build(*settings), build(*settings)
    history = train(complete, mixed(samples), run=run)
    resumed = train(again, mixed(samples), run=run, resume=True)
    assert resumed.resumed == 7 and resumed.losses == history.losses and same_weights(complete, again)


class Stored(list[Sample]):
    """Samples as a feature cache gives them: with a word on what made them."""

    facts: Any = None


def test_features_of_another_encoder_are_refused(build: Build, samples: list[Sample], stopped: RunFolder) -> None:
    second = Stored(mixed(samples))
    second.facts = {"dtype": "bfloat16", "weights": {"face": "0"}}
    with pytest.raises(ConfigError, match="feature cache"):
        train(build(*HARD), second, run=stopped, resume=True)


@pytest.fixture
def stopped(build: Build, samples: list[Sample], tmp_path: Path) -> RunFolder:
    """A run that was killed in step 5."""
    run = RunFolder(tmp_path / "stopped")
    with pytest.raises(Killed):
        train(build(*HARD), mixed(samples), run=run, on_step=stop_after(5))
    return run


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("training.lr=0.002", "training.lr"),
        ("training.steps=8", "training.steps"),
        ("seed=4", "seed"),
        ("llm.lora={r: 3, dropout: 0.3}", "llm.lora.r"),
        ("prompt.question='Which?'", "prompt.question"),
        ("training.gradient_accumulation=4", "training.gradient_accumulation"),
    ],
)
def test_other_settings_are_refused_by_name(
    build: Build, samples: list[Sample], stopped: RunFolder, setting: str, named: str
) -> None:
    before = stopped.log.read_bytes()
    with pytest.raises(ConfigError, match=rf"begun with other settings: {named}\n"):
        train(build(*HARD, setting), mixed(samples), run=stopped, resume=True)
    assert stopped.log.read_bytes() == before


def test_a_run_of_the_mean_of_means_goes_on_as_it_began(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    # So were all runs before the setting existed; what a checkpoint lacks has the value from then.
    run, settings = RunFolder(tmp_path / "run"), (*HARD, "training.step_loss=micro-batches")
    with pytest.raises(Killed):
        train(build(*settings), mixed(samples), run=run, on_step=stop_after(3))
    with pytest.raises(ConfigError, match=r'other settings: training\.step_loss\n.*"tokens"\n.*"micro-batches"'):
        train(build(*HARD), mixed(samples), run=run, resume=True)
    again = train(build(*settings), mixed(samples), run=run, resume=True)
    assert again.resumed == 2 and again.losses == train(build(*settings), mixed(samples)).losses


def test_other_weights_are_refused(build: Build, samples: list[Sample], stopped: RunFolder, tmp_path: Path) -> None:
    run, settings = RunFolder(tmp_path / "frozen"), (*HARD, "encoders.face.frozen=true")
    with pytest.raises(Killed):
        train(build(*settings), mixed(samples), run=run, on_step=stop_after(5))
    second = build(*settings)
    with torch.no_grad():
        next(second.encoders["face"].parameters()).add_(1)
    with pytest.raises(ConfigError, match="other settings: frozen weights\n"):
        train(second, mixed(samples), run=run, resume=True)
    with pytest.raises(ConfigError, match="other settings: weights that it began with\n"):
        train(build(*HARD), mixed(samples), run=stopped, resume=True, initial_weights="another model")


def test_other_clips_are_refused(build: Build, samples: list[Sample], stopped: RunFolder) -> None:
    clips = mixed(samples)
    for second in (clips[:4], [*clips[:4], replace(clips[4], description="glad")], clips[::-1]):
        with pytest.raises(ConfigError, match="training clips"):
            train(build(*HARD), second, run=stopped, resume=True)


def test_settings_without_effect_on_the_numbers_may_change(
    build: Build, samples: list[Sample], stopped: RunFolder
) -> None:
    settings = (*HARD, "training.checkpoint_every=2", "training.keep_checkpoints=1", "generation.max_new_tokens=4")
    again = train(build(*settings), mixed(samples), run=stopped, resume=True)
    assert again.resumed == 4 and again.losses == train(build(*HARD), mixed(samples)).losses
    assert [path.name for path in stopped.checkpoints.iterdir()] == ["step-00000007"]


def test_a_used_folder_is_refused(build: Build, samples: list[Sample], stopped: RunFolder) -> None:
    before = {path: path.read_bytes() for path in stopped.path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="a run in this folder already") as caught:
        train(build(*HARD), mixed(samples), run=stopped)
    assert "resume=True" in str(caught.value)
    assert before == {path: path.read_bytes() for path in stopped.path.rglob("*") if path.is_file()}


def test_without_a_checkpoint_it_starts_from_nothing_and_says_so(
    build: Build, samples: list[Sample], tmp_path: Path
) -> None:
    run, notes = RunFolder(tmp_path / "run"), []
    settings = (*HARD, "training.checkpoint_every=null")
    with pytest.raises(Killed):
        train(build(*settings), mixed(samples), run=run, on_step=stop_after(3))
    again = train(build(*settings), mixed(samples), run=run, resume=True, on_note=notes.append)
    assert "from the beginning" in notes[0] and "batch normalisation" in notes[1] and len(rows(run)) == 7
    assert again.losses == train(build(*HARD), mixed(samples)).losses and not run.checkpoints.exists()


def test_a_damaged_checkpoint_is_passed_over_and_told(build: Build, samples: list[Sample], stopped: RunFolder) -> None:
    newest = stopped.checkpoints / "step-00000004" / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    notes: list[str] = []
    again = train(build(*HARD), mixed(samples), run=stopped, resume=True, on_note=notes.append)
    assert again.resumed == 3 and "step-00000004" in notes[0]
    assert again.losses == train(build(*HARD), mixed(samples)).losses and len(rows(stopped)) == 7


def test_the_best_weights_must_be_there(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    settings = (*VALIDATED, "training.validate_every=4", "training.checkpoint_every=1")
    run = RunFolder(tmp_path / "run")
    with pytest.raises(Killed):
        train(build(*settings), mixed(samples), run=run, on_step=stop_after(7))
    (run.best / "step-00000004" / "tensors.safetensors").unlink()
    with pytest.raises(CheckpointError, match="best weights, those of step 4"):
        train(build(*settings), mixed(samples), run=run, resume=True)


def test_a_log_that_does_not_reach_the_checkpoint_is_refused(
    build: Build, samples: list[Sample], stopped: RunFolder
) -> None:
    complete = stopped.log.read_bytes()
    for content in (
        complete[: len(complete) // 2],
        b"",
        b"[" * 100_000 + b"\n",
        b'{"step": "x"}\n',
        b'{"step": 1, "loss": "2"}\n',
    ):
        stopped.log.write_bytes(content)
        with pytest.raises(DataError, match="log"):
            train(build(*HARD), mixed(samples), run=stopped, resume=True)
    stopped.log.write_bytes(complete + b'{"step": 5, "lo')
    assert train(build(*HARD), mixed(samples), run=stopped, resume=True).resumed == 4
    assert len(rows(stopped)) == 7


def test_two_runs_at_a_time_are_refused(build: Build, samples: list[Sample], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    script = (
        "import sys; from pathlib import Path; from affectgpt.files.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None and second.stdout.readline() == "there\n"
        with pytest.raises(DataError, match="another process"):
            train(build(*HARD), mixed(samples), run=run)
        second.communicate("")
