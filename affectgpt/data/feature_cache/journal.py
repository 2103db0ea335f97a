"""Append-only JSON Lines: read strictly, and resumed after the last complete group of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from affectgpt.files.row_file import json_line
from affectgpt.registry.errors import DataError, RunError

Row = TypeVar("Row")
_LONGEST_LINE = 10_000_000
HINT_ENCODE_AGAIN = "move the folder away and run encode again"


class Journal(Generic[Row]):
    """The file `path` of rows that `adapter` describes."""

    def __init__(self, path: Path, adapter: TypeAdapter[Row]) -> None:
        self.path, self._adapter = path, adapter

    def rows(self) -> Iterator[tuple[Row, int]]:
        """Each row with the place of its end in bytes; a last line that was cut off is left out.

        Raises DataError naming the line that is no such row.
        """
        if not self.path.exists():
            return
        if not self.path.is_file():
            raise DataError("this is no file", where=str(self.path), hint=HINT_ENCODE_AGAIN)
        end = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                    if not line.endswith(b"\n"):
                        if len(line) >= _LONGEST_LINE:
                            raise self._wrong(number, f"a line of over {_LONGEST_LINE:,} bytes")
                        return
                    end += len(line)
                    yield self._row(line, number), end
        except OSError as error:
            raise DataError(
                "the file cannot be read",
                where=str(self.path),
                found=error.strerror or str(error),
                hint=HINT_ENCODE_AGAIN,
            ) from None

    def _row(self, line: bytes, number: int) -> Row:
        try:
            return self._adapter.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            location = ".".join(str(part)[:80] for part in first["loc"])
            raise self._wrong(number, f"{location}: {first['msg']}" if location else first["msg"]) from None

    def _wrong(self, number: int, reason: str) -> DataError:
        return DataError(
            "a row of the cache cannot be read",
            where=f"{self.path}:{number}",
            found=reason[:300],
            expected="a row that encode wrote",
            hint=HINT_ENCODE_AGAIN,
        )

    def open_at(self, end: int) -> BinaryIO:
        """The file, made if need be, cut off at `end` and ready for [append][]. Raises RunError."""
        try:
            file = self.path.open("ab+")
            file.truncate(end)
            return file
        except OSError as error:
            raise error_unwritable(self.path, error) from None

    def append(self, file: BinaryIO, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; they are on the disk when this returns. Raises RunError when the disk refuses."""
        try:
            file.write(b"".join(map(json_line, rows)))
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise error_unwritable(self.path, error) from None


def escape_non_unicode(text: str) -> str:
    """`text` with lone surrogates (undecodable bytes of a file name) escaped, since strict JSON cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def error_unwritable(path: Path, error: OSError) -> RunError:
    """The error for a file of a cache that the disk refuses."""
    return RunError(
        "the cache cannot be written",
        where=str(path),
        found=error.strerror or str(error),
        hint="make room or choose another folder, then run the same command again: it goes on where it stopped",
    )
