"""Records of files as anybody writes them: JSONL, CSV, a JSON object, the AffectGPT repository's .npz.

Each comes with its place, for messages. Whatever cannot be read is a DataError that names it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.files.npz import read_npz
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import short_repr

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".npz")
LONGEST_ROW = 4 * 2**20
LARGEST_WHOLE = 512 * 2**20
Record = dict[str, Any]


def read_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Place and record of each row, read as they are asked for.

    A JSON object `name: value` and the arrays of an .npz give records of an id and a value. Raises DataError for
    another kind of file, for one that is missing or no UTF-8, for a row of over 4 MiB, for an object of over 512 MiB.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            "this kind of file is not read here",
            where=str(path),
            found=repr(path.suffix),
            expected=f"a file ending in {' '.join(SUFFIXES)}",
        )
    if not path.is_file():
        raise DataError("there is no such file", where=str(path))
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


def _jsonl(path: Path) -> Iterator[tuple[str, Record]]:
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
            record = _parse_json(line.decode("utf-8"), where)
            if not isinstance(record, dict):
                raise DataError("a line is not a JSON object", where=where, found=type(record).__name__)
            yield where, record


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, Record]]:
    # For the whole process, and only ever raised: two files may be read in turns.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_ROW))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            header = reader.fieldnames or []
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                raise DataError("columns repeat", where=str(path), found=join_names(twice), expected="each column once")
            for record in reader:
                where = f"{path}:{reader.line_num}"
                if None in record or None in record.values():
                    raise DataError(
                        "a row has more or fewer cells than the header",
                        where=where,
                        expected=f"{len(header)} cells",
                        hint="quote cells that hold a comma",
                    )
                if sum(map(len, record.values())) > LONGEST_ROW:
                    raise DataError("a row is too long", where=where, expected=f"at most {LONGEST_ROW:,} characters")
                yield where, record
    except csv.Error as error:
        raise DataError("the file is no well-formed CSV", where=str(path), found=str(error)) from None


def _json_object(path: Path) -> Iterator[tuple[str, Record]]:
    if path.stat().st_size > LARGEST_WHOLE:
        raise DataError(
            "a JSON object is read whole, and this one is too large",
            where=str(path),
            expected=f"at most {LARGEST_WHOLE:,} bytes",
            hint="write it as JSONL, one row a clip",
        )
    content = _parse_json(path.read_bytes().decode("utf-8-sig"), str(path))
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        yield from ((f"{path}: row {number}", row) for number, row in enumerate(content, 1))
        return
    if not isinstance(content, dict):
        raise DataError(
            "the file holds neither a JSON object nor a list of objects",
            where=str(path),
            found=type(content).__name__,
            expected="an object of name -> value",
        )
    for name, value in content.items():
        if isinstance(value, dict):
            raise DataError(
                "a value is an object", where=f"{path}: {short_repr(name)}", expected="labels, a number or a text"
            )
        yield f"{path}: {short_repr(name)}", {"id": name, "value": value}


def _npz(path: Path) -> Iterator[tuple[str, Record]]:
    arrays = read_npz(path)
    reasons, names, items = (arrays.get(name) for name in ("name2reason", "filenames", "fileitems"))
    if isinstance(reasons, dict):
        pairs, field = list(reasons.items()), "name2reason"
    elif (
        isinstance(names, np.ndarray)
        and isinstance(items, np.ndarray)
        and names.ndim == 1
        and names.shape == items.shape
    ):
        pairs, field = list(zip(names.tolist(), items.tolist(), strict=True)), "fileitems"
    else:
        raise DataError(
            "not a result file of the AffectGPT repository",
            where=str(path),
            found=f"arrays {short_repr(join_names(arrays))}",
            expected="name2reason, or filenames and fileitems of one length",
        )
    for name, value in pairs:
        yield f"{path}: {short_repr(name)}", {"id": name, field: value.tolist() if hasattr(value, "tolist") else value}


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except _RepeatedKey as error:
        raise DataError(
            "a name repeats", where=where, found=short_repr(error.args[0]), expected="each name once"
        ) from None
    except RecursionError:
        raise DataError("JSON nested too deeply", where=where) from None
    except ValueError as error:
        raise DataError("not JSON", where=where, found=str(error)[:200]) from None


class _RepeatedKey(Exception):
    pass


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        earlier: set[str] = set()
        raise _RepeatedKey(next(name for name, _ in pairs if name in earlier or earlier.add(name)))  # type: ignore[func-returns-value]
    return record
