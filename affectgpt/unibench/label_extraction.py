"""Predictions with labels read out of them: taken from the file as they are, or read out of its texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from affectgpt.core.contracts import SENTIMENTS, Extraction, Extractor
from affectgpt.files.row_file import opened
from affectgpt.registry.messages import shown
from affectgpt.unibench.clip_values import Row, ValueFile, value_file
from affectgpt.unibench.truth import Task

BATCH = 64
Item = TypeVar("Item")


@dataclass(frozen=True)
class Prediction:
    """What a system said of one clip: `value` is a written or real list of labels, or a sentiment.

    `text` is what it was read out of, "" when the labels were given. With an `error`, nothing could be read.
    """

    id: str
    value: Any
    text: str = ""
    error: str = ""


def read_out(file: ValueFile, task: Task, extractor: Extractor) -> Iterator[Prediction]:
    """The predictions of `file` in its order; `extractor` is asked only when the file holds text."""
    if file.reading == "labels":
        for row in file.rows():
            yield Prediction(row.id, _sentiment(row.value) if task == "sentiment" else row.value, error=row.error)
        return
    for rows in chunks(file.rows(), BATCH):
        for row, found in zip(rows, _extracted(rows, task, extractor), strict=True):
            yield _prediction(row, found, task)


def read_out_kept(
    file: ValueFile, task: Task, extractor: Extractor, kept: Path, settings: Mapping[str, Any]
) -> Iterator[Prediction]:
    """As [read_out][], of a file of texts; what is read out is written to `kept`, and not read again after a kill."""
    field = "sentiment" if task == "sentiment" else "labels"
    ids = [row.id for row in file.rows()]
    with opened(kept, settings, ids, BATCH) as labels:
        for rows in islice(chunks(file.rows(), BATCH), labels.done // BATCH + bool(labels.done % BATCH), None):
            found = _extracted(rows, task, extractor)
            labels.append(
                [
                    {"id": row.id, field: _value(each, task), **({"error": each.error} if each.error else {})}
                    for row, each in zip(rows, found, strict=True)
                ]
            )
    if not ids:
        return
    stored = value_file(kept, field=field, reading="labels").rows()
    for row, said in zip(file.rows(), stored, strict=True):
        yield Prediction(row.id, said.value, str(row.value or ""), said.error)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in lists of `size`, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _extracted(rows: list[Row], task: Task, extractor: Extractor) -> list[Extraction]:
    read = extractor.sentiments if task == "sentiment" else extractor.emotions
    texts = [_text(row) for row in rows]
    found = iter(read([text for text in texts if text is not None]) if any(text is not None for text in texts) else [])
    return [
        next(found)
        if text is not None
        else Extraction(error=row.error or f"the prediction is not a text: {shown(row.value)}")
        for row, text in zip(rows, texts, strict=True)
    ]


def _text(row: Row) -> str | None:
    if row.error:
        return None
    if isinstance(row.value, list) and all(isinstance(each, str) for each in row.value):
        return ", ".join(row.value)
    return row.value if isinstance(row.value, str) else None


def _value(found: Extraction, task: Task) -> Any:
    if task == "sentiment":
        return found.labels[0] if found.labels else ""
    return list(found.labels)


def _prediction(row: Row, found: Extraction, task: Task) -> Prediction:
    return Prediction(row.id, _value(found, task), str(row.value or ""), found.error)


def _sentiment(value: Any) -> Any:
    # A list of one sentiment means that sentiment; anything else stays, and counts as the official scripts count it.
    return value[0] if isinstance(value, list) and len(value) == 1 and value[0] in SENTIMENTS else value
