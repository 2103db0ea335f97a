"""Locks: one process writes a file or a folder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from affectgpt.registry.errors import DataError, RunError

LOCK_FILE = ".lock"


def lock(file: BinaryIO, path: Path) -> None:
    """Keep other processes out of `path` while `file` is open here.

    Raises DataError when one is there already, RunError when the file system cannot tell.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock: two writers there are the user's to avoid.
        return
    try:
        # Not flock: processes that decode clips would inherit that, and outlive a killed parent for some seconds.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise DataError("another process is writing here", where=str(path), hint="wait for it, or stop it") from None
    except OSError as error:
        raise RunError(
            "the file system of this folder has no locks, which keep other processes from writing here",
            where=str(path),
            found=error.strerror or str(error),
            hint="use a folder on another file system: some network file systems are mounted without locks",
        ) from None


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make `folder`, and keep other processes that ask for it out. Raises DataError, and RunError when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("ab")
    except OSError as error:
        raise RunError(
            "the folder cannot be used", where=str(folder), found=error.strerror or str(error), hint="choose another"
        ) from None
    with file:
        lock(file, folder)
        yield
