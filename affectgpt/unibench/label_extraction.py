"""Predictions with labels: taken from the file as they are, or extracted from its texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from affectgpt.core.contracts import SENTIMENTS, Extraction, Extractor
from affectgpt.core.final_answer import final_answer, left_out, unfinished
from affectgpt.files.row_file import open_row_file
from affectgpt.registry.messages import short_repr
from affectgpt.unibench.clip_values import ValueRow, ValueSource, open_clip_values
from affectgpt.unibench.truth import Task

BATCH = 64
Item = TypeVar("Item")


@dataclass(frozen=True)
class Prediction:
    """What a system said of one clip: `value` is a written or real list of labels, or a sentiment.

    `text` is what it was read out of, "" when the labels were given. With an `error`, nothing could be read.
    `note` says what of a text was left out as a model's reasoning.
    """

    id: str
    value: Any
    text: str = ""
    error: str = ""
    note: str = ""


def extract_labels(values: ValueSource, task: Task, extractor: Extractor) -> Iterator[Prediction]:
    """The predictions in `values`, in their order; only texts are passed to `extractor`."""
    if values.content == "labels":
        for row in values.rows():
            yield _labelled(row, task)
        return
    for rows in chunks(values.rows(), BATCH):
        yield from _read_texts(rows, task, extractor)


def extract_labels_cached(
    values: ValueSource, task: Task, extractor: Extractor, cache_path: Path, settings: Mapping[str, Any]
) -> Iterator[Prediction]:
    """As [extract_labels][], of texts; the labels are also written to the file `cache_path`.

    A later call reads the labels of that file and extracts only those that it lacks, also after a kill.
    Raises DataError for other `settings`.
    """
    field = "sentiment" if task == "sentiment" else "labels"
    ids = [row.id for row in values.rows()]
    with open_row_file(cache_path, settings, ids, BATCH) as labels:
        for rows in islice(chunks(values.rows(), BATCH), labels.done // BATCH + bool(labels.done % BATCH), None):
            predictions = _read_texts(rows, task, extractor)
            labels.append(
                [
                    {
                        "id": prediction.id,
                        field: prediction.value,
                        **({"error": prediction.error} if prediction.error else {}),
                        **({"notes": [prediction.note]} if prediction.note else {}),
                    }
                    for prediction in predictions
                ]
            )
    if not ids:
        return
    stored_rows = open_clip_values(cache_path, field=field, content="labels").rows()
    for row, stored_row in zip(values.rows(), stored_rows, strict=True):
        text = "" if row.is_label else str(row.value or "")
        note = "" if stored_row.error else left_out(text)
        yield Prediction(row.id, stored_row.value, text, stored_row.error, note)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in lists of `size`, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _read_texts(rows: list[ValueRow], task: Task, extractor: Extractor) -> list[Prediction]:
    read = extractor.sentiments if task == "sentiment" else extractor.emotions
    texts = {index: text for index, row in enumerate(rows) if (text := _text(row)) is not None}
    extractions = dict(zip(texts, read(list(texts.values())) if texts else [], strict=True))
    predictions = []
    for index, row in enumerate(rows):
        if row.is_label:
            predictions.append(_labelled(row, task))
            continue
        problem = row.error or f"the prediction is not a text: {short_repr(row.value)}"
        extraction = extractions.get(index, Extraction(error=problem))
        text = str(row.value or "")
        note = "" if extraction.error else left_out(text)
        predictions.append(Prediction(row.id, _value(extraction, task), text, extraction.error, note))
    return predictions


def _labelled(row: ValueRow, task: Task) -> Prediction:
    value = final_answer(row.value) if isinstance(row.value, str) else row.value
    error = row.error or (unfinished(row.value) if value is None and isinstance(row.value, str) else "")
    note = left_out(row.value) if isinstance(row.value, str) and not error else ""
    return Prediction(row.id, _sentiment(value) if task == "sentiment" else value, error=error, note=note)


def _text(row: ValueRow) -> str | None:
    if row.error or row.is_label:
        return None
    if isinstance(row.value, list) and all(isinstance(label, str) for label in row.value):
        return ", ".join(row.value)
    return row.value if isinstance(row.value, str) else None


def _value(extraction: Extraction, task: Task) -> Any:
    if task == "sentiment":
        return extraction.labels[0] if extraction.labels else ""
    return list(extraction.labels)


def _sentiment(value: Any) -> Any:
    # A list of one sentiment means that sentiment; anything else stays, and counts as the official scripts count it.
    return value[0] if isinstance(value, list) and len(value) == 1 and value[0] in SENTIMENTS else value
