from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectgpt.data.example import Example
from affectgpt.registry.errors import DataError
from affectgpt.unibench.truth import Task, read_truth, truth_of_examples


def write(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        (
            "fine-grained",
            {"b": "[happy, sad]", "a": ["mad"], "c": None, "d": ""},
            {"b": ["happy", "sad"], "a": ["mad"], "c": [], "d": []},
        ),
        (
            "basic",
            {"a": "happy", "b": "[sad]", "c": ["mad"], "d": "very happy"},
            {"a": "happy", "b": "sad", "c": "mad", "d": "very happy"},
        ),
        ("sentiment", {"a": 0.5, "b": "-1.0", "c": 0}, {"a": 0.5, "b": -1.0, "c": 0.0}),
    ],
)
def test_a_file_of_each_task(tmp_path: Path, task: Task, values: dict[str, Any], expected: dict[str, Any]) -> None:
    truth = read_truth(write(tmp_path, values), task)
    assert dict(truth.values) == expected and list(truth.values) == list(values)
    assert (truth.dataset, truth.task, truth.expected) == ("truth", task, None)


@pytest.mark.parametrize(
    ("task", "value"),
    [
        ("basic", ""),
        ("basic", None),
        ("basic", ["a", "b"]),
        ("basic", "[]"),
        ("sentiment", "good"),
        ("sentiment", None),
        ("sentiment", float("nan")),
        ("sentiment", "inf"),
        ("sentiment", True),
        ("sentiment", 10**400),
        ("fine-grained", 3),
        ("fine-grained", "["),
    ],
)
def test_an_unusable_label_is_named_with_its_clip(tmp_path: Path, task: Task, value: Any) -> None:
    good: dict[Task, Any] = {"basic": "happy", "sentiment": 1.0, "fine-grained": ["happy"]}
    with pytest.raises(DataError, match="clip 7"):
        read_truth(write(tmp_path, {"clip 1": good[task], "clip 7": value}), task)


def test_ids_that_repeat_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("name,openset\na,x\nb,y\na,z\n")
    with pytest.raises(DataError, match="1: a"):
        read_truth(path, "fine-grained")


def test_examples_of_a_data_set() -> None:
    one = Example("a", Path("a.mp4"), "", ("happy",), "", 0.25)
    examples = [one, Example("b", Path("b.mp4"), "", ("sad",), "", -1.0)]
    assert dict(truth_of_examples(examples, "k", "K", "basic", 9).values) == {"a": "happy", "b": "sad"}
    truth = truth_of_examples(examples, "k", "K", "sentiment", 9)
    assert dict(truth.values) == {"a": 0.25, "b": -1.0} and truth.expected == 9
    with pytest.raises(DataError, match="no true labels"):
        truth_of_examples([], "k", "K", "basic", None)


def test_a_true_row_that_is_an_error_is_not_an_empty_set(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a", "labels": ["happy"]}\n{"id": "b", "error": "lost"}\n')
    with pytest.raises(DataError, match="b: an error: lost"):
        read_truth(path, "fine-grained")
