"""Files of one value per clip: which field holds the id, which the value, and whether values are labels or text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affectgpt.registry.errors import DataError, listed
from affectgpt.registry.messages import shown
from affectgpt.registry.suggest import did_you_mean
from affectgpt.unibench.record_files import Record, records

Reading = Literal["labels", "text"]
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
class Row:
    """One clip's value: a written or real list of labels, a number, or a text. `error` says why there is none."""

    id: str
    value: Any
    error: str = ""


@dataclass(frozen=True)
class ValueFile:
    """A file whose rows can be read, one after the other, as often as wanted.

    `id_field` and `field` hold the ids and the values; `reading` says what the values are.
    """

    path: Path
    id_field: str
    field: str
    reading: Reading

    def rows(self) -> Iterator[Row]:
        """The rows, in the order of the file, read as they are asked for.

        Raises DataError, with the line, for what cannot be read (see [records][]), and for a row without id or value.
        """
        for where, record in records(self.path):
            error = _error(record, where)
            if self.field not in record and not error:
                raise DataError(
                    f"a row has no {self.field!r}",
                    where=where,
                    found=f"fields {shown(listed(map(str, record)))}",
                    hint="every row needs the fields of the first one",
                )
            yield Row(_id(record, self.id_field, where), record.get(self.field), error)


def value_file(
    path: Path, *, reading: Reading | None = None, field: str | None = None, id_field: str | None = None
) -> ValueFile:
    """Look at a file's first row that is no error, and decide which fields hold the ids and the values.

    `id_field` and `field` name them; `reading` says whether values are labels read out already, or text. Without
    `reading` the field's name decides (labels, openset, emotion, ...: labels; text, reason, description, ...: text),
    and where it does not (a JSON object has no names) all the values: when one of them is a text of 3 words or more
    that ends like a sentence, or has more than 5 words between two commas, all are prose. Raises DataError when it
    cannot be told.
    """
    path = Path(path)
    first = where = None
    for where, record in records(path):
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
    ids = _id_field(first, where, id_field)
    _id(first, ids, where)
    if _error(first, where) and field is None:
        return ValueFile(path, ids, TEXT_FIELDS[0], reading or "text")
    named = _field(first, where, field)
    return ValueFile(path, ids, named, reading or _reading_of(named, path))


def _id_field(record: Record, where: str, named: str | None) -> str:
    if named is not None:
        if named not in record:
            raise DataError(
                f"there is no field {named!r}", where=where, expected=f"one of {shown(listed(map(str, record)))}"
            )
        return named
    found = [name for name in ID_FIELDS if name in record]
    if not found:
        raise DataError(
            "a row has no id",
            where=where,
            found=f"fields {shown(listed(map(str, record)))}",
            expected=f"a text in one of {listed(ID_FIELDS)}",
            hint="say which field it is with --id-field",
        )
    if len({str(record[name]) for name in found}) > 1:
        raise DataError(
            "several fields could be the id", where=where, found=listed(found), hint="say which with --id-field"
        )
    return found[0]


def _field(record: Record, where: str, field: str | None) -> str:
    known = [str(name) for name in record if name not in ID_FIELDS]
    if field is not None:
        if field not in record:
            raise DataError(
                f"there is no field {field!r}",
                where=where,
                expected=f"one of {listed(known)}",
                hint=did_you_mean(field, known),
            )
        return field
    for fields in (LABEL_FIELDS, TEXT_FIELDS):
        found = [name for name in fields if name in record]
        if len(found) > 1:
            raise DataError(
                "several fields could hold the values", where=where, found=listed(found), hint="say which with --field"
            )
        if found:
            return found[0]
    raise DataError(
        "no field holds values",
        where=where,
        found=f"fields {shown(listed(known))}",
        expected=f"one of {listed((*LABEL_FIELDS, *TEXT_FIELDS))}",
        hint="say which with --field",
    )


def _reading_of(field: str, path: Path) -> Reading:
    if field in TEXT_FIELDS:
        return "text"
    if field in LABEL_FIELDS and path.suffix.lower() != ".json":
        return "labels"
    prose = sentence = lists = ""
    for where, record in records(path):
        value = record.get(field)
        if isinstance(value, list | int | float) or (isinstance(value, str) and value.lstrip().startswith("[")):
            lists = lists or where
        elif isinstance(value, str):
            prose = prose or (where if _is_long(value) else "")
            sentence = sentence or (where if _is_sentence(value) else "")
    if prose and lists:
        raise DataError(
            "some values are lists of labels, others prose",
            where=str(path),
            found=f"prose at {prose}, labels at {lists}",
            hint="say what they are with --read labels or --read text",
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
        raise DataError("a row has no id", where=where, found=shown(name), expected=f"a text in {field!r}")
    return str(name).strip()


def _error(record: Record, where: str) -> str:
    """Why a row has no value, "" when it has one. In a CSV every row has the column: "False" and the like say none."""
    error = record.get("error")
    if error is None or error is False:
        return ""
    if not isinstance(error, str):
        raise DataError("a row's error is no text", where=where, found=shown(error), expected="a text, or none")
    return "" if error.strip().lower() in _NO_ERROR else error
