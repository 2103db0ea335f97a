from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgpt.core.contracts import Extraction
from affectgpt.registry.errors import DataError
from affectgpt.unibench.label_extraction import extract_labels, extract_labels_cached
from affectgpt.unibench.memory_values import memory_values

PROSE = "The man smiles and seems to be happy with what he hears."


class LastWord:
    """Gives the last word of each text, and keeps what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def emotions(self, texts: list[str]) -> list[Extraction]:
        self.texts += texts
        return [Extraction((text.split()[-1].strip("."),)) for text in texts]

    sentiments = emotions


@pytest.mark.parametrize(
    ("values", "content", "labels"),
    [
        ({"a": "happy", "b": "[sad]"}, "labels", [False, False]),
        ({"a": PROSE, "b": "sad"}, "text", [False, False]),
        ({"a": PROSE, "b": ["sad"], "c": None}, "text", [False, True, False]),
        ({"a": "He is happy.", "b": "[sad]"}, "labels", [False, False]),
        ([["sad"], np.array(["happy"]), ("calm",), {"angry"}], "labels", [False] * 4),
        (np.array([0.5, -1.0]), "labels", [False, False]),
    ],
)
def test_texts_are_read_and_lists_are_labels(values: Any, content: str, labels: list[bool]) -> None:
    parsed = memory_values(values, "predictions")
    assert parsed.content == content and [row.is_label for row in parsed.rows()] == labels
    assert memory_values(values, "predictions", content="text").content == "text"


def test_written_lists_beside_prose_are_refused_as_in_a_file() -> None:
    with pytest.raises(DataError, match='read="labels"'):
        memory_values({"a": PROSE, "b": "[sad]"}, "predictions")


def test_only_texts_are_passed_to_the_extractor_also_when_labels_are_kept(tmp_path: Path) -> None:
    values = memory_values({"a": PROSE, "b": ["sad"]}, "predictions")
    extractor = LastWord()
    expected = [("a", ["hears"], PROSE), ("b", ["sad"], "")]
    predictions = extract_labels(values, "fine-grained", extractor)
    assert [(clip.id, clip.value, clip.text) for clip in predictions] == expected
    stored = tmp_path / "labels.jsonl"
    for _ in range(2):
        predictions = extract_labels_cached(values, "fine-grained", extractor, stored, {"values": values.digest()})
        assert [(clip.id, clip.value, clip.text) for clip in predictions] == expected
    assert extractor.texts == [PROSE, PROSE]


def test_a_digest_is_of_all_values() -> None:
    digests = {memory_values(values, "x").digest() for values in ({"a": "sad"}, {"a": ["sad"]}, {"b": "sad"})}
    assert len(digests) == 3 and memory_values({"a": "sad"}, "y").digest() in digests


def test_a_description_gives_its_text_or_its_error() -> None:
    from affectgpt.core.description import Description

    rows = list(memory_values([Description("a.mp4", PROSE), Description("b.mp4", error="broken")], "x").rows())
    assert [(row.value, row.error) for row in rows] == [(PROSE, ""), ("", "broken")]


class _NumberedFrame:
    columns = (0, 1)

    def __getitem__(self, column: int) -> list[str]:
        return [["a", "b"], ["happy", "sad"]][column]


def test_columns_may_be_numbered() -> None:
    values = memory_values(_NumberedFrame(), "predictions", column="1", id_column="0")
    assert [(row.id, row.value) for row in values.rows()] == [("a", "happy"), ("b", "sad")]
