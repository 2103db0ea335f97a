"""What a training run checks before it starts, and what it leaves behind."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectgpt.api.start import starting_point
from affectgpt.data.datasets import read_examples
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError, ConfigError, DataError
from affectgpt.training.random_state import preserve_random_state
from affectgpt.training.run import TRAINED, RunSettings, TrainingRun
from affectgpt.training.run_log import read_losses
from affectgpt.training.run_places import check_free, check_run_places
from affectgpt.training.train_result import is_main_process

WRITTEN = Path(__file__).resolve().parents[1] / "earlier" / "0.1.0"
QUICK = ["training.steps=2", "training.warmup_steps=1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new_run(settings: RunSettings, progress: Any = lambda what, done, total: None) -> TrainingRun:
    start = starting_point(WRITTEN / "small.yaml", QUICK, discover(), allow_pickle=False)
    settings.check(start)
    return TrainingRun(start, {TRAINED: read_examples(WRITTEN / "clips")}, settings, progress)


@pytest.mark.parametrize(
    ("out", "run", "argument", "words"),
    [
        ("..", None, "out", "holds the working folder"),
        ("new/out", "new/out/run", "run", "cannot be in one folder"),
        ("model/out", "run", "out", "lies in the model"),
        ("out", "model/run", "run", "lies in the model"),
        ("out", "model", "run", "is the model that is to be trained"),
    ],
)
def test_places_inside_one_another(folder: Path, out: str, run: str | None, argument: str, words: str) -> None:
    (folder / "model").mkdir()
    with pytest.raises(ConfigError, match=words) as error:
        check_run_places(Path("model"), Path(out), None if run is None else Path(run))
    assert error.value.problems[0].where == argument
    assert [path.name for path in folder.iterdir()] == ["model"]


def test_places_that_are_apart(folder: Path) -> None:
    check_run_places(None, Path("out"), Path("out.run"))
    check_run_places(None, None, None)
    check_free(Path("out"))
    (folder / "out").mkdir()
    check_free(Path("out"))
    (folder / "out" / "notes.txt").touch()
    with pytest.raises(CheckpointError, match="something at this place"):
        check_free(Path("out"))


def test_a_run_reports_its_parts_in_order(folder: Path) -> None:
    parts: list[tuple[str, int, int | None]] = []
    result = new_run(RunSettings(out=Path("out"), run=Path("run")), lambda *part: parts.append(part)).train(
        lambda: parts.append(("hook", 0, 0))
    )
    names = list(dict.fromkeys(what for what, _, _ in parts))
    assert names == ["building the pipeline", "hook", "reading clips", "training"] and parts[-1] == ("training", 2, 2)
    assert result.losses == read_losses(folder / "run" / "log.jsonl", 2)
    assert json.loads((folder / "run" / "finished.json").read_text())["result"] == result.to_dict()
    with pytest.raises(DataError, match="does not hold all steps"):
        read_losses(folder / "run" / "log.jsonl", 3)


def test_the_loss_is_shown_by_a_progress_display_with_notes(folder: Path) -> None:
    notes: list[str] = []

    class Display:
        def __call__(self, what: str, count: int, total: int | None) -> None:
            pass

        def note(self, text: str) -> None:
            notes.append(text)

    result = new_run(RunSettings(), Display()).train(lambda: None)
    assert notes == [f"loss {loss:.3f}" for loss in result.losses]


def test_of_several_processes_the_first_saves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_main_process()
    monkeypatch.setenv("RANK", "1")
    assert is_main_process()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not is_main_process()
    parts: list[str] = []
    run = new_run(RunSettings(), lambda what, count, total: parts.append(what))
    monkeypatch.delenv("WORLD_SIZE")
    run.train(lambda: None)
    assert parts == []


def test_features_and_decoding_each_time_exclude_each_other(folder: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is decoded") as error:
        new_run(RunSettings(features=Path("features"), decode="each-time"))
    assert error.value.problems[0].where == "decode"


def test_random_numbers_are_as_before_the_block() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)  # type: ignore[operator]
    expected = draw()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(3)  # type: ignore[operator]
    with pytest.raises(ValueError, match="stopped"), preserve_random_state():
        draw()
        raise ValueError("stopped")
    assert draw() == expected
