"""Locks: one process writes a file or a folder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from affectgpt.registry.errors import DataError, RunError

LOCK_FILE = ".lock"


def lock(file: BinaryIO, path: Path) -> bool:
    """Keep other processes out of `path` while `file` is open here; False on Windows, which has no such lock.

    Within one process it keeps nobody out, and it ends when any handle of the file is closed. Raises DataError when
    another process is there already, RunError when the file system cannot tell.
    """
    try:
        import fcntl
    except ImportError:
        return False
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
    return True


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
