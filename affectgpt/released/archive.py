"""Check that a file of torch.save is a zip archive that every reader reads the same way.

A zip archive can be made to look different to two readers: with two directories, with names that differ only in case,
with overlapping records. torch's reader is not Python's, so every ambiguous archive is refused.
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
    """torch.save does not write such an archive."""


def table_size(path: Path) -> int:
    """Bytes of the pickle in an archive that torch.save may have made.

    Raises AmbiguousArchiveError when two readers could read it differently or when it holds compressed records, and
    zipfile.BadZipFile or another error of `zipfile` when it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if not 0 < len(records) <= MAX_RECORDS:
        raise AmbiguousArchiveError(f"{len(records):,} records")
    with path.open("rb") as file:
        start = _find_directory(file, len(records))
        _check_names(records)
        _check_not_packed(records)
        _check_no_overlaps(file, records, start)
    root = records[0].filename.partition("/")[0]
    tables = [record for record in records if record.filename == f"{root}/{TABLE}"]
    if len(tables) != 1:
        raise AmbiguousArchiveError(f"no {TABLE}")
    return tables[0].file_size


def _find_directory(file: BinaryIO, count: int) -> int:
    """The offset of the directory. It must end where the end record starts, and that must end the file."""
    end = file.seek(0, 2) - struct.calcsize(_END_FORM)
    if end < 0:
        raise AmbiguousArchiveError("it is too short")
    mark, _, _, _, listed, size, start, comment = _read_struct(file, end, _END_FORM)
    if mark != _END or comment:
        raise AmbiguousArchiveError("there is data after the end of the archive")
    offset = end - struct.calcsize(_LOCATOR_FORM)
    if offset >= 0 and (locator := _read_struct(file, offset, _LOCATOR_FORM))[0] == _LOCATOR:
        end = offset - struct.calcsize(_END64_FORM)
        if end < 0 or locator[2] != end:
            raise AmbiguousArchiveError("its end record is elsewhere")
        mark64, length, *_, listed64, size64, start64 = _read_struct(file, end, _END64_FORM)
        pairs = ((listed, listed64, 0xFFFF), (size, size64, 2**32 - 1), (start, start64, 2**32 - 1))
        same = all(short in (long, most) for short, long, most in pairs)
        if mark64 != _END64 or length != struct.calcsize(_END64_FORM) - 12 or not same:
            raise AmbiguousArchiveError("its two end records differ")
        listed, size, start = listed64, size64, start64
    if start + size != end or listed != count:
        raise AmbiguousArchiveError("its directory is not where its end record says")
    return int(start)


def _read_struct(file: BinaryIO, offset: int, form: str) -> tuple[Any, ...]:
    file.seek(offset)
    content = file.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise AmbiguousArchiveError("it ends within a record")
    return struct.unpack(form, content)


def _check_names(records: Sequence[zipfile.ZipInfo]) -> None:
    root = records[0].filename.partition("/")[0]
    names: set[str] = set()
    tables = 0
    for record in records:
        # torch ignores case in names, and Python cuts a name at a NUL.
        name = record.filename.casefold()
        is_in_root = record.filename.startswith(f"{root}/") and len(record.filename) > len(root) + 1
        tables += name.endswith(f"/{TABLE}")
        if not root or not is_in_root or name in names or record.orig_filename != record.filename or tables > 1:
            raise AmbiguousArchiveError(f"the record {record.filename[:80]!r} next to those of {root[:40]!r}")
        folder, _, storage = record.filename[len(root) + 1 :].rpartition("/")
        if name.startswith(f"{root}/data/".casefold()) and (folder != "data" or not is_storage_name(storage)):
            raise AmbiguousArchiveError(f"the record {record.filename[:80]!r} among the numbered ones")
        names.add(name)


def is_storage_name(name: str) -> bool:
    """Whether torch.save may use this name for the values of a tensor: a number, which has no upper and lower case.

    torch finds `data/AA` in the record `data/aa`, but caches it by spelling and would read it again.
    """
    return name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))


def _check_not_packed(records: Sequence[zipfile.ZipInfo]) -> None:
    for record in records:
        if (
            record.compress_type != zipfile.ZIP_STORED
            or record.compress_size != record.file_size
            or record.flag_bits & 1
        ):
            raise AmbiguousArchiveError(f"the record {record.filename[:80]!r} is compressed")


def _check_no_overlaps(file: BinaryIO, records: Sequence[zipfile.ZipInfo], directory: int) -> None:
    ordered = sorted(records, key=lambda record: record.header_offset)
    if ordered[0].header_offset:
        # torch treats a file as an archive only if it starts with a record; otherwise it reads the data before it.
        raise AmbiguousArchiveError("there is data before the archive")
    free = 0
    for record in ordered:
        offset = record.header_offset
        if offset < free:
            raise AmbiguousArchiveError(f"the record {record.filename[:80]!r} overlaps another")
        header: bytes = _read_struct(file, offset, f"<{_LOCAL_SIZE}s")[0]
        free = offset + _LOCAL_SIZE + sum(struct.unpack_from("<2H", header, _NAME_LENGTHS)) + record.file_size
        if not header.startswith(_LOCAL) or free > directory:
            raise AmbiguousArchiveError(f"the record {record.filename[:80]!r} is not where the directory says")
