"""The log of a run, `log.jsonl`: one JSON object a line, a row per step and one per measurement.

    {"step": 12, "loss": 2.31, "lr": 0.0001, "grad_norm": 0.84, "clips": 96, "seconds": 0.52}
    {"step": 12, "validation_loss": 2.48, "lowest": true, "seconds": 3.1}

After stop and resume, all values but `seconds` are those of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from affectgpt.files.row_file import json_line
from affectgpt.registry.errors import DataError, RunError


class RunLog:
    """The log, open for this process to write. Get one from [open_run_log][]; `losses` are those of its steps."""

    def __init__(self, path: Path, file: BinaryIO, steps: int) -> None:
        self.path, self._file = path, file
        self.losses = self._cut_after(steps)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, which is safe if the process is killed. Raises RunError when it cannot be written."""
        with _disk_errors(self.path):
            self._file.write(json_line(row))
            self._file.flush()

    def flush(self) -> None:
        """Sync all rows to the disk, before a checkpoint relies on them."""
        with _disk_errors(self.path):
            os.fsync(self._file.fileno())

    def _cut_after(self, steps: int) -> list[float]:
        """Cut off the rows after step `steps`, and half a row at the end."""
        losses: list[float] = []
        offset = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            row = _row(line, f"{self.path}:{number}")
            if row["step"] > steps:
                break
            offset += len(line)
            if "loss" in row:
                losses.append(row["loss"])
        if len(losses) != steps:
            raise DataError(
                "the log does not fit the checkpoint",
                where=str(self.path),
                found=f"rows of {len(losses)} steps",
                expected=f"{steps}",
                hint="put the whole log back, or start again in another folder: run=",
            )
        self._file.truncate(offset)
        self._file.seek(offset)
        return losses


@contextmanager
def open_run_log(path: Path, steps: int) -> Iterator[RunLog]:
    """The log with the rows of the first `steps` steps, to append to; later rows are cut off.

    Raises DataError when it does not hold those rows, and RunError when it cannot be written.
    """
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+")
    try:
        yield RunLog(path, file, steps)
    finally:
        # `append` has flushed all rows; closing would only retry a failed write.
        with suppress(OSError):
            file.close()


def read_losses(path: Path, steps: int) -> list[float]:
    """The losses of the first `steps` steps of a log, in nats. Raises DataError when it does not hold them."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError("the log of the run cannot be read", where=str(path), found=error.strerror or "") from None
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    losses = [row["loss"] for row in rows if "loss" in row and row["step"] <= steps]
    if len(losses) != steps:
        raise DataError(
            "the log does not hold all steps of the run",
            where=str(path),
            found=f"rows of {len(losses)} steps",
            expected=f"{steps}",
        )
    return losses


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or type(row.get("step")) is not int or type(row.get("loss", 0.0)) is not float:
            raise ValueError("no row of a log")
    except (ValueError, RecursionError) as error:
        raise DataError(
            "this is no row of a run's log",
            where=where,
            found=str(error).splitlines()[0],
            hint="start again in another folder: run=",
        ) from None
    return row


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            "the log cannot be written",
            where=str(path),
            found=error.strerror or str(error),
            hint="make room or mend the folder, then resume",
        ) from None
