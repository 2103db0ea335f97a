"""A file of JSON rows, written a batch at a time; a resumed run gives the same bytes as one that was never stopped.

The sidecar `NAME.run.json` of `NAME.jsonl` holds the settings that produce the rows. A file is resumed only with the
same settings. Rows after the last complete batch are cut off: computed again in another batch, they could differ in
their last digits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from affectgpt.files.atomic import write_atomic
from affectgpt.files.locks import lock
from affectgpt.registry.errors import DataError, RunError


class RowFile:
    """Rows of JSON objects, each with an `id`, in the order of `ids`. Get one from [open_row_file][].

    `done` rows are in the file, `failed` of them have an `error`.
    """

    def __init__(self, path: Path, file: BinaryIO, ids: Sequence[str], batch: int) -> None:
        self.path, self._file, self._ids, self._batch = path, file, ids, batch
        self.done, self.failed = self._cut_to_whole_batches()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the next rows; they are on the disk when this returns. Raises RunError when the disk refuses."""
        ids = self._ids[self.done : self.done + len(rows)]
        if [row["id"] for row in rows] != list(ids):
            raise ValueError("rows out of order")
        try:
            self._file.write(b"".join(map(json_line, rows)))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(
                "the rows cannot be written",
                where=str(self.path),
                found=error.strerror or str(error),
                hint="make room, then run the same command again: it goes on where it stopped",
            ) from None
        self.done += len(rows)
        self.failed += sum("error" in row for row in rows)

    def _cut_to_whole_batches(self) -> tuple[int, int]:
        self._file.seek(0)
        ends, errors, end = [0], [0], 0
        for line in self._file:
            number = len(ends)
            if not line.endswith(b"\n"):
                break
            row = _row_of(line)
            row_id = row.get("id")
            if number > len(self._ids) or row_id != self._ids[number - 1]:
                raise DataError(
                    "the file holds other rows than this command writes",
                    where=f"{self.path}:{number}",
                    found=f"id {row_id!r}",
                    expected=repr(self._ids[number - 1]) if number <= len(self._ids) else f"{len(self._ids)} rows",
                    hint="choose another folder for the output, or move the file away",
                )
            end += len(line)
            ends.append(end)
            errors.append(errors[-1] + ("error" in row))
        rows = len(ends) - 1
        row_count = rows if rows == len(self._ids) else rows // self._batch * self._batch
        self._file.truncate(ends[row_count])
        self._file.seek(ends[row_count])
        return row_count, errors[row_count]


@contextmanager
def open_row_file(path: Path, settings: Mapping[str, Any], ids: Sequence[str], batch: int) -> Iterator[RowFile]:
    """The file `path`, new or to be continued, for this process alone.

    Raises DataError when it was begun with other `settings` or for other `ids`, when another process is writing it, and
    when there is such a file without its settings; RunError when the disk refuses.
    """
    with ExitStack() as stack:
        # Only what goes wrong with this file: what the caller does with the rows has errors of its own.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab+")
            stack.callback(_close, file)
            lock(file, path)
            _begin_or_compare(file, path, settings)
            rows = RowFile(path, file, ids, batch)
        except OSError as error:
            raise RunError(
                "the rows cannot be written",
                where=str(path),
                found=error.strerror or str(error),
                hint="check the folder, its permissions and the space left",
            ) from None
        yield rows


def _close(file: BinaryIO) -> None:
    # Rows are on the disk when `append` returns; what it could not write, closing would only try again.
    with suppress(OSError):
        file.close()


def _begin_or_compare(file: BinaryIO, path: Path, settings: Mapping[str, Any]) -> None:
    path_of_settings = settings_path(path)
    if path_of_settings.is_file():
        _check_same(read_settings(path), settings, path)
    elif os.fstat(file.fileno()).st_size:
        raise DataError(
            "there is a file here that this command did not begin",
            where=str(path),
            expected=f"its settings in {path_of_settings.name}",
            hint="choose another folder for the output, or move the file away",
        )
    else:
        write_atomic(path_of_settings, json.dumps(settings, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def settings_path(path: Path) -> Path:
    """Where the settings of a row file stand."""
    return path.with_suffix(".run.json")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a row file; {} when it has none. Raises DataError when they cannot be read."""
    path_of_settings = settings_path(path)
    try:
        text = path_of_settings.read_text(encoding="utf-8") if path_of_settings.is_file() else "{}"
        settings = json.loads(text, parse_constant=_reject_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "the settings of a run cannot be read",
            where=str(path_of_settings),
            found=str(error),
            hint="move the rows and their settings away, and run again",
        ) from None
    return settings if isinstance(settings, dict) else {}


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON in UTF-8. What UTF-8 cannot hold (half a surrogate pair) is escaped."""
    line = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return f"{line}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(row, allow_nan=False)}\n".encode()


def _row_of(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _without_own_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` without this package's version: a file of an earlier release is continued."""
    versions = settings.get("versions")
    if not isinstance(versions, Mapping):
        return dict(settings)
    return {**settings, "versions": {name: value for name, value in versions.items() if name != "affectgpt"}}


def _check_same(stored: Mapping[str, Any], settings: Mapping[str, Any], path: Path) -> None:
    plain = _without_own_version(json.loads(json.dumps(settings)))
    stored = _without_own_version(stored)
    differing = sorted(key for key in {*stored, *plain} if stored.get(key) != plain.get(key))
    if differing:
        raise DataError(
            "the file was begun with other settings",
            where=str(path),
            found=", ".join(f"{key} {stored.get(key)!r}"[:160] for key in differing),
            expected=", ".join(f"{key} {plain.get(key)!r}"[:160] for key in differing),
            hint="run with the former settings to go on, or choose another folder for the output",
        )
