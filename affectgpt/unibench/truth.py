"""The true labels of a data set, from its folder or from any file of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affectgpt.data.example import Example
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import count_and_first, short_repr
from affectgpt.unibench.clip_values import ValueRow, ValueSource, open_clip_values
from affectgpt.unibench.label_text import parse_labels

Task = Literal["fine-grained", "basic", "sentiment"]
TASKS: tuple[Task, ...] = ("fine-grained", "basic", "sentiment")


@dataclass(frozen=True)
class Truth:
    """What is true of each clip of a data set, in the data set's order.

    `values` by id: for "fine-grained" the list of labels (may be empty), for "basic" one label, for "sentiment" a
    number. `expected` is how many clips the published test set has, None when that is unknown; `synthetic` says that
    the clips only have its layout.
    """

    dataset: str
    title: str
    task: Task
    values: Mapping[str, Any]
    expected: int | None = None
    synthetic: bool = False


def read_truth(path: Path, task: Task, *, field: str | None = None, id_field: str | None = None) -> Truth:
    """Read a file of true labels (see [open_clip_values][]). Raises DataError with every repeated or invalid id."""
    rows = open_clip_values(path, content="labels", field=field, id_field=id_field).rows()
    return Truth(Path(path).stem, Path(path).stem, task, _values(rows, task, str(path)))


def truth_of_values(values: ValueSource, name: str, task: Task | None = None) -> Truth:
    """The truth in `values` for `task`, by default the one that they are for ([infer_task][]). Raises DataError."""
    rows = list(values.rows())
    task = task or infer_task((row.value for row in rows if not row.error), name)
    return Truth(name, name, task, _values(rows, task, name))


def infer_task(values: Iterable[Any], where: str) -> Task:
    """Sentiment for numbers, basic for single labels, fine-grained when one is a set of labels. Raises DataError."""
    numbers = labels = sets = 0
    for value in values:
        if isinstance(value, list) or (isinstance(value, str) and (value.startswith("[") or "," in value)):
            sets += 1
        elif isinstance(value, str) and not _is_number(value):
            labels += 1
        elif value is not None and value == value:
            numbers += 1
    if numbers and (labels or sets):
        raise DataError(
            "the true values are both numbers and labels",
            where=where,
            found=f"{numbers} numbers, {labels + sets} labels or lists of labels",
            expected="labels, or numbers for the sentiment",
            hint=f"pass task=, one of {join_names(TASKS)}",
        )
    return "sentiment" if numbers else "basic" if labels and not sets else "fine-grained"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def truth_of_examples(examples: Iterable[Example], dataset: str, title: str, task: Task, expected: int | None) -> Truth:
    """The truth of examples that a dataset reader gave."""
    rows = (ValueRow(each.name, each.sentiment if task == "sentiment" else list(each.labels)) for each in examples)
    return Truth(dataset, title, task, _values(rows, task, title), expected)


def _values(rows: Iterable[ValueRow], task: Task, where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    repeated, unusable = [], []
    for row in rows:
        if row.id in values:
            repeated.append(row.id)
            continue
        try:
            if row.error:
                raise ValueError(f"an error: {row.error[:80]}")
            values[row.id] = _READ[task](row.value)
        except (DataError, ValueError, TypeError, OverflowError) as error:
            values[row.id] = None
            unusable.append(f"{row.id}: {str(error).splitlines()[0]}")
    if repeated:
        raise DataError(
            "true labels are given twice for one id",
            where=where,
            found=count_and_first(repeated),
            expected="each id once",
        )
    if unusable:
        raise DataError(
            f"true labels cannot be used for the task {task}",
            where=where,
            found=count_and_first(unusable, "; "),
            expected=_EXPECTED[task],
        )
    if not values:
        raise DataError("there are no true labels", where=where)
    return values


def _one_label(value: Any) -> str:
    labels = parse_labels(value) if isinstance(value, list) or str(value).startswith("[") else [str(value).strip()]
    if value is None or len(labels) != 1 or not labels[0]:
        raise ValueError(f"{short_repr(value)} is not one label")
    return labels[0]


def _number(value: Any) -> float:
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{short_repr(value)} is not a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{short_repr(value)} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{short_repr(value)} is not a finite number")
    return number


_READ: dict[str, Any] = {"fine-grained": parse_labels, "basic": _one_label, "sentiment": _number}
_EXPECTED = {
    "fine-grained": "a set of labels per clip",
    "basic": "one label per clip",
    "sentiment": "one number per clip, negative to positive",
}
