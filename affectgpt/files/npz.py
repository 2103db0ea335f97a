"""Reads `.npz` files that are not trusted, pickled objects included. See [restricted_pickle][]."""

from __future__ import annotations

import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.files.pickled_arrays import build_array
from affectgpt.files.restricted_pickle import RefusedPickle, read_pickle
from affectgpt.registry.errors import DataError

MAX_BYTES = 2**30
MAX_MEMBERS = 1000
_CHUNK = 2**20
_LARGEST_DIRECTORY = 2**21
_SIMPLE = "biufcSU"


def read_npz(path: str | Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Name -> array or object of every member, in the order of the file; an object array `[]` gives its one object.

    `max_bytes` bounds the file, and what all members take when they are unpacked. Arrays may be read-only.
    Raises DataError when the file is missing, too large, damaged, or holds anything but arrays and plain data (see
    [read_pickle][]); nothing in it is ever run.
    """
    path = Path(path)
    values: dict[str, Any] = {}
    remaining = max_bytes
    with _errors_as_data_error(path, max_bytes), _Careful(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_members(members, max_bytes)
        for member in members:
            name = member.filename.removesuffix(".npy")
            data = _unpack(archive, member, remaining)
            remaining -= len(data)
            try:
                values[name] = _array(data, max_bytes)
            except RefusedPickle as error:
                raise RefusedPickle(f"{name[:80]!r} holds {error}") from None
    return values


@contextmanager
def _errors_as_data_error(path: Path, max_bytes: int) -> Iterator[None]:
    expected = "an archive of arrays (.npz) or an array (.npy) of numbers, texts and plain data"
    try:
        stat_result = os.stat(path)
        if not stat.S_ISREG(stat_result.st_mode):
            raise DataError("this is not a file", where=str(path), expected=expected)
        if stat_result.st_size > max_bytes:
            raise DataError(
                "the file is too large",
                where=str(path),
                found=f"{stat_result.st_size:,} bytes",
                expected=f"at most {max_bytes:,} bytes",
            )
        yield
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path), expected=expected) from None
    except RefusedPickle as error:
        raise DataError(
            "the file is not read",
            where=str(path),
            found=str(error),
            expected=expected,
            hint="nothing in it was run; get the file from its owners again",
        ) from None
    except (
        OSError,
        ValueError,
        EOFError,
        OverflowError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        TypeError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        tokenize.TokenError,
    ) as error:
        raise DataError(
            "the file cannot be read", where=str(path), found=str(error) or type(error).__name__, expected=expected
        ) from None


class _Careful(FileIO):
    # zipfile reads the list of members in one go: it is refused here before it fills the memory.
    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > _LARGEST_DIRECTORY:
            raise RefusedPickle(f"a list of members of {size:,} bytes")
        return super().read(size) or b""


def _check_members(members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise RefusedPickle(f"{len(members):,} members, more than {MAX_MEMBERS:,}")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise RefusedPickle(f"{total:,} bytes when unpacked, more than {max_bytes:,}")
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names):
        raise RefusedPickle("two members of one name")
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RefusedPickle(f"{member.filename[:80]!r}, encrypted or packed in a way that numpy does not use")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, remaining: int) -> bytes:
    parts: list[bytes] = []
    with archive.open(member) as file:
        while part := file.read(_CHUNK):
            remaining -= len(part)
            if remaining < 0:
                raise RefusedPickle(f"{member.filename[:80]!r}, larger than it states")
            parts.append(part)
    return b"".join(parts)


def _array(data: bytes, max_bytes: int) -> Any:
    """An array in numpy's format, versions 1 and 2 (NEP 1)."""
    file = BytesIO(data)
    form: Any = np.lib.format
    version = form.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = form.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = form.read_array_header_2_0(file)
    else:
        raise RefusedPickle(f"an array in version {version[0]}.{version[1]} of numpy's format")
    payload = data[file.tell() :]
    if dtype.kind == "O":
        value = read_pickle(payload, max_bytes=max_bytes)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "O" or value.shape != shape:
            raise RefusedPickle("something other than the array that it states")
        return value.item() if value.shape == () else value
    if dtype.kind not in _SIMPLE:
        raise RefusedPickle(f"an array of type {str(dtype)[:80]}")
    return build_array(payload, dtype, shape, "F" if fortran else "C")
