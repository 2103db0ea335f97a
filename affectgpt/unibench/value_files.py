"""Files of one value per clip, as anybody writes them: JSONL, CSV, a JSON object, the AffectGPT repository's .npz."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affectgpt.data.npz import read_npz
from affectgpt.registry.errors import DataError, listed
from affectgpt.registry.suggest import did_you_mean

Reading = Literal["labels", "text"]
ID_FIELDS = ("id", "name", "clip", "filename")
LABEL_FIELDS = ("labels", "label", "openset", "emotion", "emotions", "sentiment", "value", "val", "fileitems")
TEXT_FIELDS = ("text", "reason", "description", "response", "name2reason")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".npz")
LONGEST_ROW = 16 * 2**20
LARGEST_WHOLE = 512 * 2**20
_PROSE_WORDS = 5


@dataclass(frozen=True)
class Row:
    """One clip's value: a written or real list of labels, a number, or a text. `error` says why there is none."""

    id: str
    value: Any
    error: str = ""


@dataclass(frozen=True)
class ValueFile:
    """A file whose rows can be read, one after the other, as often as wanted. `reading`: what its values are."""

    path: Path
    field: str
    reading: Reading

    def rows(self) -> Iterator[Row]:
        """The rows, in the order of the file, read as they are asked for.

        Raises DataError, with the line, for what cannot be read: no UTF-8, no JSON, no id, no value, a line of over
        16 MiB.
        """
        for where, record in _records(self.path):
            error = record.get("error") or ""
            if self.field not in record and not error:
                raise DataError(
                    f"a row has no {self.field!r}",
                    where=where,
                    found=f"fields {listed(map(str, record))}",
                    hint="every row needs the fields of the first one",
                )
            yield Row(_id(record, where), record.get(self.field), str(error))


def value_file(path: Path, *, reading: Reading | None = None, field: str | None = None) -> ValueFile:
    """Look at a file's head (a JSON object and .npz: at all of it) and decide which field holds the values.

    `field` names it; `reading` says whether values are labels read out already, or text. Without `reading` the field's
    name decides (labels, openset, emotion, ...: labels; text, reason, description, ...: text), and where it does not
    (a JSON object has no names) the values: lists, numbers and short texts are labels; when one of them is a text with
    more than 5 words between two commas, all are prose. Raises DataError when neither can be told.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            "this kind of file is not read here",
            where=str(path),
            found=repr(path.suffix),
            expected=f"a file ending in {' '.join(SUFFIXES)}",
        )
    if not path.is_file():
        raise DataError("there is no such file", where=str(path))
    head = next(_records(path), None)
    if head is None:
        raise DataError("the file has no rows", where=str(path), expected="one row per clip")
    where, record = head
    _id(record, where)
    named = _field(record, where, field)
    if reading is None:
        reading = _reading_of(named, path)
    return ValueFile(path, named, reading)


def _field(record: dict[str, Any], where: str, field: str | None) -> str:
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
        found=f"fields {listed(known)}",
        expected=f"one of {listed((*LABEL_FIELDS, *TEXT_FIELDS))}",
        hint="say which with --field",
    )


def _reading_of(field: str, path: Path) -> Reading:
    if field in TEXT_FIELDS:
        return "text"
    if field in LABEL_FIELDS and path.suffix.lower() != ".json":
        return "labels"
    prose = lists = ""
    for where, record in _records(path):
        value = record.get(field)
        prose = prose or (where if _is_prose(value) else "")
        lists = lists or (where if isinstance(value, list | int | float) else "")
    if prose and lists:
        raise DataError(
            "some values are lists of labels, others prose",
            where=str(path),
            found=f"prose at {prose}, labels at {lists}",
            hint="say what they are with --read labels or --read text",
        )
    return "text" if prose else "labels"


def _is_prose(value: Any) -> bool:
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return False
    pieces = value.replace("'", ",").replace('"', ",").split(",")
    # A sentence in Chinese has no blanks between its words.
    return any(len(piece.split()) > _PROSE_WORDS for piece in pieces) or "。" in value


def _id(record: dict[str, Any], where: str) -> str:
    name = next((record[field] for field in ID_FIELDS if field in record), None)
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise DataError(
            "a row has no id", where=where, found=repr(name)[:80], expected=f"a text in one of {listed(ID_FIELDS)}"
        )
    return str(name).strip()


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    suffix = path.suffix.lower()
    try:
        if suffix in (".jsonl", ".ndjson"):
            yield from _jsonl(path)
        elif suffix in (".csv", ".tsv"):
            yield from _csv(path, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".json":
            yield from _json_object(path)
        else:
            yield from _npz(path)
    except UnicodeDecodeError as error:
        raise DataError(
            "the file is not UTF-8",
            where=str(path),
            found=f"byte {error.object[error.start]:#04x}",
            expected="text in UTF-8",
            hint="convert it, for example with iconv -f GB18030 -t UTF-8",
        ) from None
    except OSError as error:
        raise DataError("the file cannot be read", where=str(path), found=error.strerror or str(error)) from None


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_ROW + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LONGEST_ROW:
                raise DataError("a line is too long", where=where, expected=f"at most {LONGEST_ROW:,} bytes a row")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            record = _parsed(line.decode("utf-8"), where)
            if not isinstance(record, dict):
                raise DataError("a line is not a JSON object", where=where, found=type(record).__name__)
            yield where, record


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    previous = csv.field_size_limit(LONGEST_ROW)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            header = reader.fieldnames or []
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                raise DataError("columns repeat", where=str(path), found=listed(twice), expected="each column once")
            for record in reader:
                where = f"{path}:{reader.line_num}"
                if None in record or None in record.values():
                    raise DataError(
                        "a row has more or fewer cells than the header",
                        where=where,
                        expected=f"{len(header)} cells",
                        hint="quote cells that hold a comma",
                    )
                yield where, record
    except csv.Error as error:
        raise DataError("the file is no well-formed CSV", where=str(path), found=str(error)) from None
    finally:
        csv.field_size_limit(previous)


def _json_object(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.stat().st_size > LARGEST_WHOLE:
        raise DataError(
            "a JSON object is read whole, and this one is too large",
            where=str(path),
            expected=f"at most {LARGEST_WHOLE:,} bytes",
            hint="write it as JSONL, one row a clip",
        )
    found = _parsed(path.read_bytes().decode("utf-8-sig"), str(path))
    if not isinstance(found, dict):
        raise DataError(
            "the file does not hold a JSON object",
            where=str(path),
            found=type(found).__name__,
            expected="an object of name -> value",
        )
    for name, value in found.items():
        if isinstance(value, dict):
            raise DataError("a value is an object", where=f"{path}: {name!r}", expected="labels, a number or a text")
        yield f"{path}: {name!r}", {"id": name, "value": value}


def _npz(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    arrays = read_npz(path)
    if isinstance(arrays.get("name2reason"), dict):
        pairs, field = list(arrays["name2reason"].items()), "name2reason"
    elif {"filenames", "fileitems"} <= set(arrays) and len(arrays["filenames"]) == len(arrays["fileitems"]):
        pairs, field = list(zip(arrays["filenames"].tolist(), arrays["fileitems"].tolist(), strict=True)), "fileitems"
    else:
        raise DataError(
            "not a result file of the AffectGPT repository",
            where=str(path),
            found=f"arrays {listed(arrays)}",
            expected="name2reason, or filenames and fileitems of one length",
        )
    for name, value in pairs:
        yield f"{path}: {name!r}", {"id": name, field: value}


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_key_once)
    except _RepeatedKey as error:
        raise DataError(
            "a name repeats", where=where, found=repr(error.args[0])[:80], expected="each name once"
        ) from None
    except RecursionError:
        raise DataError("JSON nested too deeply", where=where) from None
    except ValueError as error:
        raise DataError("not JSON", where=where, found=str(error)[:200]) from None


class _RepeatedKey(Exception):
    pass


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _RepeatedKey(next(name for name, _ in pairs if name in seen or seen.add(name)))  # type: ignore[func-returns-value]
    return found
