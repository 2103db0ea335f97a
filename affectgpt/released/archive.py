"""The records of a file of torch's, and the one reading of them that every reader agrees on.

A zip archive can be made to look different to two readers: with two directories, with names that differ only in case,
with records in one another. torch reads such a file by other code than Python's, so all that is ambiguous is refused.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

MAX_RECORDS = 100_000
TABLE = "data.pkl"
_END, _END64, _LOCATOR, _LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x03\x04"
_END_FORM, _END64_FORM, _LOCATOR_FORM = "<4s4H2LH", "<4sQ2H2L4Q", "<4sLQL"
_LOCAL_SIZE, _NAME_LENGTHS = 30, 26


class AmbiguousArchiveError(ValueError):
    """The archive is none that torch.save makes."""


def table_size(path: Path) -> int:
    """Bytes of the pickle in an archive that torch.save may have made.

    Raises AmbiguousArchiveError when it is one that two readers could read differently or that holds packed records,
    zipfile.BadZipFile or another error of `zipfile` when it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if not 0 < len(records) <= MAX_RECORDS:
        raise AmbiguousArchiveError(f"{len(records):,} records")
    with path.open("rb") as file:
        start = _directory(file, len(records))
        _refuse_names(records)
        _refuse_packed(records)
        _refuse_overlaps(file, records, start)
    root = records[0].filename.partition("/")[0]
    tables = [each for each in records if each.filename == f"{root}/{TABLE}"]
    if len(tables) != 1:
        raise AmbiguousArchiveError(f"no {TABLE}")
    return tables[0].file_size


def _directory(file: BinaryIO, count: int) -> int:
    """Where the directory starts. It has to end where the end record begins, which has to be the end of the file."""
    end = file.seek(0, 2) - struct.calcsize(_END_FORM)
    if end < 0:
        raise AmbiguousArchiveError("it is too short")
    mark, _, _, _, listed, size, start, comment = _at(file, end, _END_FORM)
    if mark != _END or comment:
        raise AmbiguousArchiveError("something stands behind the end of the archive")
    place = end - struct.calcsize(_LOCATOR_FORM)
    if place >= 0 and (found := _at(file, place, _LOCATOR_FORM))[0] == _LOCATOR:
        end = place - struct.calcsize(_END64_FORM)
        if end < 0 or found[2] != end:
            raise AmbiguousArchiveError("its end record stands elsewhere")
        mark64, length, *_, listed64, size64, start64 = _at(file, end, _END64_FORM)
        pairs = ((listed, listed64, 0xFFFF), (size, size64, 2**32 - 1), (start, start64, 2**32 - 1))
        same = all(short in (long, most) for short, long, most in pairs)
        if mark64 != _END64 or length != struct.calcsize(_END64_FORM) - 12 or not same:
            raise AmbiguousArchiveError("its two end records differ")
        listed, size, start = listed64, size64, start64
    if start + size != end or listed != count:
        raise AmbiguousArchiveError("its directory is not where its end record says")
    return int(start)


def _at(file: BinaryIO, place: int, form: str) -> tuple[Any, ...]:
    file.seek(place)
    content = file.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise AmbiguousArchiveError("it ends within a record")
    return struct.unpack(form, content)


def _refuse_names(records: Sequence[zipfile.ZipInfo]) -> None:
    root = records[0].filename.partition("/")[0]
    seen: set[str] = set()
    tables = 0
    for each in records:
        # torch looks names up without regard to case, and Python cuts a name at a NUL.
        name = each.filename.casefold()
        inside = each.filename.startswith(f"{root}/") and len(each.filename) > len(root) + 1
        tables += name.endswith(f"/{TABLE}")
        if not root or not inside or name in seen or each.orig_filename != each.filename or tables > 1:
            raise AmbiguousArchiveError(f"the record {each.filename[:80]!r} beside those of {root[:40]!r}")
        folder, _, storage = each.filename[len(root) + 1 :].rpartition("/")
        if name.startswith(f"{root}/data/".casefold()) and (folder != "data" or not is_storage_name(storage)):
            raise AmbiguousArchiveError(f"the record {each.filename[:80]!r} among the numbered ones")
        seen.add(name)


def is_storage_name(name: str) -> bool:
    """Whether torch.save may name the values of tensors so: a number, which has one spelling in upper and lower case.

    torch finds `data/AA` in the record `data/aa`, but remembers it by the spelling, so that it would read it again.
    """
    return name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))


def _refuse_packed(records: Sequence[zipfile.ZipInfo]) -> None:
    for each in records:
        if each.compress_type != zipfile.ZIP_STORED or each.compress_size != each.file_size or each.flag_bits & 1:
            raise AmbiguousArchiveError(f"the record {each.filename[:80]!r} is not stored as it is")


def _refuse_overlaps(file: BinaryIO, records: Sequence[zipfile.ZipInfo], directory: int) -> None:
    ordered = sorted(records, key=lambda record: record.header_offset)
    if ordered[0].header_offset:
        # torch takes a file for an archive only if it begins with a record. Otherwise it reads what stands before.
        raise AmbiguousArchiveError("something stands before the archive")
    free = 0
    for each in ordered:
        place = each.header_offset
        if place < free:
            raise AmbiguousArchiveError(f"the record {each.filename[:80]!r} stands in another")
        header: bytes = _at(file, place, f"<{_LOCAL_SIZE}s")[0]
        free = place + _LOCAL_SIZE + sum(struct.unpack_from("<2H", header, _NAME_LENGTHS)) + each.file_size
        if not header.startswith(_LOCAL) or free > directory:
            raise AmbiguousArchiveError(f"the record {each.filename[:80]!r} is not where the directory says")
