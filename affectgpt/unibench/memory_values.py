"""One value per clip from Python objects: a mapping, a data frame, a series, or a list. Needs no pandas or polars."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Protocol, TypeAlias, runtime_checkable

from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import did_you_mean, short_repr
from affectgpt.unibench.clip_values import ID_FIELDS, LABEL_FIELDS, TEXT_FIELDS, Content, ValueRow, guess_content

Value: TypeAlias = "str | float | Sequence[str] | None"
"""A clip's value: a text, a label, a list of labels, or a number."""


@runtime_checkable
class Frame(Protocol):
    """A table with named columns, such as a data frame of pandas or polars."""

    @property
    def columns(self) -> Iterable[str]: ...
    def __getitem__(self, column: str, /) -> Iterable[object]: ...


@runtime_checkable
class Series(Protocol):
    """A column of values, such as a series of pandas (its index holds the ids) or polars."""

    def to_list(self) -> Iterable[object]: ...


class Array(Protocol):
    """An array of one dimension, such as one of NumPy."""

    def tolist(self) -> object: ...


Values: TypeAlias = (
    "Mapping[str, Value] | Mapping[int, Value] | Frame | Series | Array | Sequence[Value] | str | PathLike[str]"
)
"""Values of clips: by id, in a column, by position, or in a file (a text is always a path)."""


@dataclass(frozen=True)
class MemoryValues:
    """Values in memory (see [ValueSource][affectgpt.unibench.clip_values]).

    `by_position` says that the ids are positions in a list, counted from 0. `name` stands for the values in messages.
    """

    name: str
    field: str
    content: Content
    values: tuple[ValueRow, ...]
    by_position: bool = False

    def rows(self) -> Iterator[ValueRow]:
        """The rows in their order."""
        return iter(self.values)

    def digest(self) -> str:
        """A hash of all ids and values, 16 hexadecimal digits."""
        rows = [[row.id, row.value, row.error, row.is_label] for row in self.values]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def run_settings(self) -> dict[str, Any]:
        """{}: nothing is known of the run that gave values in memory."""
        return {}


def memory_values(
    data: object, name: str, *, content: Content | None = None, column: str | None = None, id_column: str | None = None
) -> MemoryValues:
    """The values in `data`, an argument called `name`: `{id: value}`, a [Frame][], a [Series][], or a list.

    `column` and `id_column` name columns of a frame; without them they are found as those of files are, and a frame
    without a column of ids takes its index. Without `content`, lists and numbers are labels; the texts are all labels,
    or all to be read when one of them is prose. Raises DataError for ids and values of other types.
    """
    field, by_position = column or "value", False
    if isinstance(data, Mapping):
        pairs = list(data.items())
    elif isinstance(data, Frame):
        field = _value_column(data, name, column)
        ids, by_position = _ids_of_frame(data, name, id_column)
        pairs = list(zip(ids, _column(data, field), strict=True))
    elif isinstance(data, Series):
        items, index = data.to_list(), getattr(data, "index", None)
        # A list has a method of this name.
        by_position = index is None or callable(index)
        pairs = list(enumerate(items) if by_position else zip(_items(index), items, strict=True))
    elif hasattr(data, "tolist") or (isinstance(data, Sequence) and not isinstance(data, str | bytes)):
        pairs, by_position = list(enumerate(_items(data))), True
    else:
        raise DataError(
            "this holds no values of clips",
            where=name,
            found=type(data).__name__,
            expected="a mapping of ids to values, a data frame, a series, a list, or a path",
        )
    rows = [ValueRow(_id(key, name), *_value_and_error(value, f"{name}, {short_repr(key)}")) for key, value in pairs]
    if not rows:
        raise DataError("there are no values", where=name, expected="one value per clip")
    values = MemoryValues(name, field, content or "labels", tuple(rows), by_position)
    if content is not None:
        return values
    # A column's name says what it holds, as that of a file's column does.
    if isinstance(data, Frame) and field in (*LABEL_FIELDS, *TEXT_FIELDS):
        return replace(values, content="text" if field in TEXT_FIELDS else "labels")
    # Lists and numbers are labels whatever the texts beside them are.
    texts = ((row.id, row.value) for row in rows if isinstance(row.value, str) and not row.error)
    if guess_content(texts, name) == "labels":
        return values
    rows = [replace(row, is_label=not row.error and _is_label(row.value)) for row in rows]
    return replace(values, content="text", values=tuple(rows))


def _is_label(value: Any) -> bool:
    """Whether a value beside texts is labels; a missing one (None, NaN) is a text that is not there."""
    return isinstance(value, list) or (isinstance(value, int | float) and value == value)


def _items(values: Any) -> list[Any]:
    for method in ("to_list", "tolist"):
        if hasattr(values, method):
            items = getattr(values, method)()
            return items if isinstance(items, list) else [items]
    return list(values)


def _column(frame: Frame, name: str) -> list[Any]:
    """The column whose name is written `name`: columns may also be numbered."""
    return _items(frame[next(column for column in frame.columns if str(column) == name)])


def _value_column(frame: Frame, name: str, column: str | None) -> str:
    columns = [str(each) for each in frame.columns]
    if column is not None:
        if column not in columns:
            raise DataError(
                f"there is no column {column!r}",
                where=name,
                expected=f"one of {join_names(columns)}",
                hint=did_you_mean(column, columns),
            )
        return column
    for fields in (LABEL_FIELDS, TEXT_FIELDS):
        matches = [field for field in fields if field in columns]
        if len(matches) > 1:
            raise DataError(
                "several columns could hold the values", where=name, found=join_names(matches), hint="pass column="
            )
        if matches:
            return matches[0]
    raise DataError(
        "no column holds values",
        where=name,
        found=f"columns {join_names(columns)}",
        expected=f"one of {join_names((*LABEL_FIELDS, *TEXT_FIELDS))}",
        hint="pass column=",
    )


def _ids_of_frame(frame: Frame, name: str, id_column: str | None) -> tuple[list[Any], bool]:
    columns = [str(each) for each in frame.columns]
    if id_column is not None and id_column != "id" and id_column not in columns:
        raise DataError(
            f"there is no column {id_column!r}",
            where=name,
            expected=f"one of {join_names(columns)}",
            hint=did_you_mean(id_column, columns),
        )
    matches = [field for field in ((id_column,) if id_column in columns else ID_FIELDS) if field in columns]
    if len(matches) > 1:
        raise DataError(
            "several columns could be the id", where=name, found=join_names(matches), hint="pass id_column="
        )
    if matches:
        return _column(frame, str(matches[0])), False
    index = getattr(frame, "index", None)
    if index is not None and not callable(index):
        return _items(index), False
    return list(range(len(_items(frame[columns[0]])))), True


def _id(key: object, name: str) -> str:
    key = key.item() if hasattr(key, "item") else key
    if isinstance(key, bool) or not isinstance(key, str | int) or not str(key).strip():
        raise DataError("an id is neither a text nor an integer", where=name, found=short_repr(key))
    return str(key).strip()


def _value_and_error(value: Any, where: str) -> tuple[Any, str]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, tuple | set | frozenset):
        value = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    if type(value).__name__ == "NAType":
        # The missing value of pandas, which compares as nothing else does.
        return None, ""
    # A description that `describe` returns.
    if hasattr(value, "text") and hasattr(value, "error"):
        return value.text, str(value.error or "")
    plain = value is None or isinstance(value, str | int | float)
    if not plain and not (isinstance(value, list) and all(isinstance(label, str) for label in value)):
        raise DataError(
            "this is not the value of a clip",
            where=where,
            found=f"{type(value).__name__} {short_repr(value)}",
            expected="a text, a label, a list of labels, or a number",
        )
    return value, ""
