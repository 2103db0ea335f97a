from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench.sources import find_data_sources


def manifest(folder: Path, *rows: dict[str, Any]) -> Path:
    for row in rows:
        (folder / str(row["clip"])).touch()
    path = folder / "my clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("more", "task"),
    [
        ({"labels": ["happy"]}, "fine-grained"),
        ({"sentiment": 0.5}, "sentiment"),
        ({}, None),
        ({"labels": ["happy"], "sentiment": 0.5}, "fine-grained"),
    ],
)
def test_a_manifest_is_for_what_its_labels_say(tmp_path: Path, more: dict[str, Any], task: str | None) -> None:
    (source,) = find_data_sources(manifest(tmp_path, {"clip": "a.mp4", **more}, {"clip": "b.mp4", **more}))
    assert (source.key, source.title, source.task, len(source.examples)) == ("my-clips", "my clips", task, 2)
    assert len(find_data_sources(tmp_path / "my clips.jsonl", limit=1)[0].examples) == 1
    if task is None:
        with pytest.raises(DataError, match="no labels to score"):
            source.truth()
    else:
        assert list(source.truth().values) == ["a", "b"]


BAD: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "nothing": (lambda here: here / "none", [], "no data set is found"),
    "an empty folder": (lambda here: here, [], "no data set is found"),
    "a file of another kind": (lambda here: Path(__file__), [], "no data set is found"),
    "an unknown set": (lambda here: here, ["mer2033"], "mer2023"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_data_is_refused(tmp_path: Path, case: str) -> None:
    path, sets, words = BAD[case]
    with pytest.raises(DataError) as caught:
        find_data_sources(path(tmp_path), sets)
    assert words in str(caught.value)


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "meld-process").mkdir()
    with pytest.raises(DataError, match="sims"):
        find_data_sources(tmp_path, ["sims"])


def test_sets_are_of_the_benchmark_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sets"):
        find_data_sources(manifest(tmp_path, {"clip": "a.mp4", "labels": ["happy"]}), ["meld"])
