from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from affectgpt.core.contracts import Extraction
from affectgpt.registry.errors import RunError
from affectgpt.unibench.clip_values import open_clip_values
from affectgpt.unibench.label_extraction import extract_labels, extract_labels_cached


class LastWord:
    """Takes the last word of a text as its label; "stop" stops it, "?" cannot be read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        extractions = []
        for text in texts:
            if text == "stop":
                raise RunError("stopped")
            self.read.append(text)
            words = text.split()
            extractions.append(Extraction(error="a question") if text == "?" else Extraction(tuple(words[-1:])))
        return extractions

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(("positive",)) if "good" in text else Extraction(error="?") for text in texts]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_texts_are_read_and_what_is_none_is_an_error(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "very sad"},
        {"id": "b", "text": "", "error": "broken clip"},
        {"id": "c", "text": None},
        {"id": "d", "text": "?"},
        {"id": "e", "text": ["happy", "glad"]},
        {"id": "f", "text": ""},
    ]
    predictions = list(extract_labels(open_clip_values(write(tmp_path / "x.jsonl", rows)), "fine-grained", LastWord()))
    assert [prediction.value for prediction in predictions] == [["sad"], [], [], [], ["glad"], []]
    assert [bool(prediction.error) for prediction in predictions] == [False, True, True, True, False, False]
    assert (
        predictions[0].text == "very sad"
        and predictions[1].error == "broken clip"
        and "not a text" in predictions[2].error
    )
    sentiments = list(extract_labels(open_clip_values(tmp_path / "x.jsonl"), "sentiment", LastWord()))
    assert [prediction.value for prediction in sentiments] == [""] * 6 and all(
        prediction.error for prediction in sentiments
    )


def test_labels_are_taken_as_they_are(tmp_path: Path) -> None:
    reader = LastWord()
    path = write(tmp_path / "x.jsonl", [{"id": "a", "labels": ["sad"]}, {"id": "b", "labels": "[happy]"}])
    assert [prediction.value for prediction in extract_labels(open_clip_values(path), "fine-grained", reader)] == [
        ["sad"],
        "[happy]",
    ]
    path = write(tmp_path / "y.jsonl", [{"id": "a", "sentiment": ["positive"]}, {"id": "b", "sentiment": "Good"}])
    assert [prediction.value for prediction in extract_labels(open_clip_values(path), "sentiment", reader)] == [
        "positive",
        "Good",
    ]
    assert reader.read == []


def test_what_was_read_before_a_stop_is_not_read_again(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": f"text {i}"} for i in range(150)]
    rows[140]["text"] = "stop"
    file, cache_file, first = open_clip_values(write(tmp_path / "x.jsonl", rows)), tmp_path / "kept.jsonl", LastWord()
    with pytest.raises(RunError):
        list(extract_labels_cached(file, "fine-grained", first, cache_file, {}))
    # Two batches of 64 are there; the third is begun again by a reader that does not stop at this text.
    second = LastWord()
    second.emotions = lambda texts: [second.read.append(text) or Extraction((text,)) for text in texts]  # type: ignore[method-assign, func-returns-value]
    predictions = list(extract_labels_cached(file, "fine-grained", second, cache_file, {}))
    assert second.read == [row["text"] for row in rows[128:]]
    assert [prediction.id for prediction in predictions] == [row["id"] for row in rows]
    assert predictions[0].value == ["0"] and predictions[0].text == "text 0" and predictions[149].value == ["text 149"]


def test_kept_labels_cut_anywhere_come_to_the_same(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "?" if i == 70 else f"text {i}"} for i in range(130)]
    file, cache_file = open_clip_values(write(tmp_path / "x.jsonl", rows)), tmp_path / "kept.jsonl"
    plain = list(extract_labels(file, "fine-grained", LastWord()))
    assert list(extract_labels_cached(file, "fine-grained", LastWord(), cache_file, {})) == plain
    content = cache_file.read_bytes()
    for share in (0.0, 0.3, 0.7, 0.999):
        cache_file.write_bytes(content[: int(share * len(content))])
        assert list(extract_labels_cached(file, "fine-grained", LastWord(), cache_file, {})) == plain
        assert cache_file.read_bytes() == content
    assert next(extract_labels_cached(file, "sentiment", LastWord(), tmp_path / "s.jsonl", {})).error == "?"
