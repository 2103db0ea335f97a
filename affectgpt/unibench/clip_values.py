"""Files of one value per clip: which field holds the id, which the value, and whether values are labels or text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from affectgpt.core.final_answer import final_answer
from affectgpt.files.hashing import sha256_of_file
from affectgpt.files.row_file import read_settings
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import did_you_mean, short_repr
from affectgpt.unibench.record_files import Record, read_records

Content = Literal["labels", "text"]
ID_FIELDS = ("id", "name", "clip", "filename", "file")
LABEL_FIELDS = ("labels", "label", "openset", "emotion", "emotions", "sentiment", "value", "val", "fileitems")
TEXT_FIELDS = ("text", "reason", "description", "response", "name2reason")
_PROSE_WORDS = 5
_SENTENCE_WORDS = 3
# It has no blanks between its words.
_CHINESE_SENTENCE = re.compile("[\u4e00-\u9fff，、]{13}")
_SENTENCE_ENDS = tuple(".!?。！？")
_NO_ERROR = ("", "false", "0", "no", "none", "null", "nan")


@dataclass(frozen=True)
class ValueRow:
    """One clip's value: a written or real list of labels, a number, or a text. `error` says why there is none.

    `is_label` marks a value that is labels already where other values are texts.
    """

    id: str
    value: Any
    error: str = ""
    is_label: bool = False


class ValueSource(Protocol):
    """One value per clip, of a file ([ClipValues][]) or in memory ([MemoryValues][affectgpt.unibench.memory_values]).

    `field` names the values in messages and reports; `content` says what they are.
    """

    @property
    def field(self) -> str: ...
    @property
    def content(self) -> Content: ...

    def rows(self) -> Iterator[ValueRow]:
        """The rows in their order, from the first one at each call."""
        ...

    def digest(self) -> str:
        """A hash of all values, 16 hexadecimal digits."""
        ...

    def run_settings(self) -> dict[str, Any]:
        """The settings that `affectgpt generate` kept beside the file; {} where there are none."""
        ...


@dataclass(frozen=True)
class ClipValues:
    """A file whose rows can be read, one after the other, as often as wanted.

    `id_field` and `field` hold the ids and the values; `content` says what the values are.
    """

    path: Path
    id_field: str
    field: str
    content: Content

    def rows(self) -> Iterator[ValueRow]:
        """The rows, in the order of the file, read as they are asked for.

        Raises DataError, with the line, for an unreadable record (see [read_records][]) and a row without id or value.
        """
        for where, record in read_records(self.path):
            error = _error(record, where)
            if self.field not in record and not error:
                raise DataError(
                    f"a row has no {self.field!r}",
                    where=where,
                    found=f"fields {short_repr(join_names(map(str, record)))}",
                    hint="every row needs the fields of the first one",
                )
            yield ValueRow(_id(record, self.id_field, where), record.get(self.field), error)

    def digest(self) -> str:
        """A hash of the file, 16 hexadecimal digits."""
        return sha256_of_file(self.path)[:16]

    def run_settings(self) -> dict[str, Any]:
        """The settings of the run that wrote the file; {} where they are not beside it. Raises DataError."""
        return read_settings(self.path)


def open_clip_values(
    path: Path, *, content: Content | None = None, field: str | None = None, id_field: str | None = None
) -> ClipValues:
    """Look at a file's first row that is no error, and decide which fields hold the ids and the values.

    `id_field` and `field` name them; `content` says whether values are labels read out already, or text. Without
    `content` the field's name decides (labels, openset, emotion, ...: labels; text, reason, description, ...: text),
    and where it does not (a JSON object has no names) all the values: when one of them is a text of 3 words or more
    that ends like a sentence, or has more than 5 words between two commas, all are prose. Raises DataError when it
    cannot be told.
    """
    path = Path(path)
    first = where = None
    for where, record in read_records(path):
        first = record
        if not _error(record, where):
            break
    if first is None or where is None:
        raise DataError(
            "the file has no rows",
            where=str(path),
            expected="one row per clip",
            hint="if it was being generated, run the same command again: it goes on where it stopped",
        )
    id_name = _id_field(first, where, id_field)
    _id(first, id_name, where)
    if _error(first, where) and field is None:
        return ClipValues(path, id_name, TEXT_FIELDS[0], content or "text")
    value_field = _field(first, where, field)
    return ClipValues(path, id_name, value_field, content or _guess_content(value_field, path))


def _id_field(record: Record, where: str, id_field: str | None) -> str:
    if id_field is not None:
        if id_field not in record:
            raise DataError(
                f"there is no field {id_field!r}",
                where=where,
                expected=f"one of {short_repr(join_names(map(str, record)))}",
            )
        return id_field
    matches = [name for name in ID_FIELDS if name in record]
    if not matches:
        raise DataError(
            "a row has no id",
            where=where,
            found=f"fields {short_repr(join_names(map(str, record)))}",
            expected=f"a text in one of {join_names(ID_FIELDS)}",
            hint="pass id_column=",
        )
    if len({str(record[name]) for name in matches}) > 1:
        raise DataError(
            "several fields could be the id", where=where, found=join_names(matches), hint="pass id_column="
        )
    return matches[0]


def _field(record: Record, where: str, field: str | None) -> str:
    names = [str(name) for name in record if name not in ID_FIELDS]
    if field is not None:
        if field not in record:
            raise DataError(
                f"there is no field {field!r}",
                where=where,
                expected=f"one of {join_names(names)}",
                hint=did_you_mean(field, names),
            )
        return field
    for fields in (LABEL_FIELDS, TEXT_FIELDS):
        matches = [name for name in fields if name in record]
        if len(matches) > 1:
            raise DataError(
                "several fields could hold the values",
                where=where,
                found=join_names(matches),
                hint="pass column=",
            )
        if matches:
            return matches[0]
    raise DataError(
        "no field holds values",
        where=where,
        found=f"fields {short_repr(join_names(names))}",
        expected=f"one of {join_names((*LABEL_FIELDS, *TEXT_FIELDS))}",
        hint="pass column=",
    )


def _guess_content(field: str, path: Path) -> Content:
    if field in TEXT_FIELDS:
        return "text"
    if field in LABEL_FIELDS and path.suffix.lower() != ".json":
        return "labels"
    return guess_content(((where, record.get(field)) for where, record in read_records(path)), str(path))


def guess_content(values: Iterable[tuple[str, Any]], where: str) -> Content:
    """Whether `values`, each with its place, are labels or text: text when one is too long for labels.

    So is one that holds a model's reasoning, and a sentence, but where others are lists of labels. Raises DataError
    when there are both lists and longer texts.
    """
    prose = sentence = lists = ""
    for location, value in values:
        if isinstance(value, str) and final_answer(value) != value:
            return "text"
        if isinstance(value, list | int | float) or (isinstance(value, str) and value.lstrip().startswith("[")):
            lists = lists or location
        elif isinstance(value, str):
            prose = prose or (location if _is_long(value) else "")
            sentence = sentence or (location if _is_sentence(value) else "")
    if prose and lists:
        raise DataError(
            "some values are lists of labels, others prose",
            where=where,
            found=f"prose at {prose}, labels at {lists}",
            hint='pass read="labels" or read="text"',
        )
    return "text" if prose or (sentence and not lists) else "labels"


def _is_long(value: str) -> bool:
    return bool(_CHINESE_SENTENCE.search(value)) or _words_in_a_row(value) > _PROSE_WORDS


def _is_sentence(value: str) -> bool:
    # "negative." and "angry, sad." are labels with a full stop.
    return value.rstrip().endswith(_SENTENCE_ENDS) and _words_in_a_row(value) >= _SENTENCE_WORDS


def _words_in_a_row(value: str) -> int:
    return max(len(piece.split()) for piece in value.replace("'", ",").replace('"', ",").split(","))


def _id(record: Record, field: str, where: str) -> str:
    name = record.get(field)
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise DataError("a row has no id", where=where, found=short_repr(name), expected=f"a text in {field!r}")
    return str(name).strip()


def _error(record: Record, where: str) -> str:
    """Why a row has no value, "" when it has one. In a CSV every row has the column: "False" and the like say none."""
    error = record.get("error")
    if error is None or error is False:
        return ""
    if not isinstance(error, str):
        raise DataError("a row's error is no text", where=where, found=short_repr(error), expected="a text, or none")
    return "" if error.strip().lower() in _NO_ERROR else error
