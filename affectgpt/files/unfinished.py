"""A file or folder that is written beside its place and takes it when it is whole; a kill's leftovers are removed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from affectgpt.files.locks import LOCK_FILE, lock
from affectgpt.registry.errors import DataError, RunError


@contextmanager
def unfinished(destination: Path) -> Iterator[Path]:
    """A path beside `destination`, on which nothing is yet, to make a file or a folder at.

    What is there at the end of the block takes the place of `destination`, whose former content is then removed; after
    an exception, Ctrl-C included, all is as it was. The hidden folder that the path lies in has a name of its own for
    each destination, and a lock: what a killed process left there is removed by the next one.

    Raises DataError when another process is writing to `destination`, and OSError.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _room_of(destination) as room:
        fresh, old = room / "new", room / "old"
        yield fresh
        try:
            if fresh.is_dir() and destination.is_dir() and not destination.is_symlink():
                os.rename(destination, old)
            os.replace(fresh, destination)
        except BaseException:
            _restore(old, destination)
            raise


def remove_unfinished(destination: Path) -> None:
    """Remove what a killed process left beside `destination`; nothing when another one is writing there.

    Raises OSError.
    """
    if _room_path(destination).is_dir():
        with suppress(DataError), _room_of(destination):
            pass


def _room_path(destination: Path) -> Path:
    # A name that fits wherever the destination's does, and that nobody gives to a file of theirs.
    digest = hashlib.sha256(os.fsencode(destination.name)).hexdigest()
    return destination.parent / f".affectgpt-{digest[:16]}"


@contextmanager
def _room_of(destination: Path) -> Iterator[Path]:
    room = _room_path(destination)
    with suppress(FileExistsError):
        room.mkdir(mode=0o700)
    if not _is_own_folder(room):
        room = Path(tempfile.mkdtemp(prefix=".affectgpt-", dir=destination.parent))
    with (room / LOCK_FILE).open("ab") as file:
        # Where the file system has no locks, two writers are the user's to avoid.
        with suppress(RunError):
            lock(file, destination)
        try:
            _restore(room / "old", destination)
            for entry in room.iterdir():
                if entry.name != LOCK_FILE:
                    _remove(entry)
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _is_own_folder(path: Path) -> bool:
    # In a folder that all may write to, somebody else may have put a folder or a link there.
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and (os.name != "posix" or status.st_uid == os.geteuid())


def _restore(old: Path, destination: Path) -> None:
    """Undo half of an exchange."""
    if os.path.lexists(old) and not os.path.lexists(destination):
        os.rename(old, destination)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
