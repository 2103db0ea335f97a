"""A file or folder that is written beside its place and takes it when it is whole; a kill's leftovers are removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from affectgpt.files.locks import LOCK_FILE, lock
from affectgpt.registry.errors import DataError, RunError

# The rooms of this process, in which its own locks keep nobody out.
_own_rooms: set[Path] = set()
_threads = threading.Lock()


@contextmanager
def unfinished(destination: Path) -> Iterator[Path]:
    """A path beside `destination`, on which nothing is yet, to make a file or a folder at.

    What is there at the end of the block takes the place of `destination`, whose former content is then removed; after
    an exception, Ctrl-C included, all is as it was. The path lies in a hidden folder with a lock, whose name tells the
    destination: what a killed process left there is removed by the next one.

    Raises DataError when somebody else is writing to `destination`, and OSError.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead_rooms(destination, refuse_others=True)
    with _room_for(destination) as room:
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
    """Remove what killed processes left beside `destination`; where the former content is all there is, put it back.

    What is still being written stays. Raises OSError.
    """
    _remove_dead_rooms(destination, refuse_others=False)


def _prefix(destination: Path) -> str:
    # A name that fits wherever the destination's does, and that nobody gives to a file of theirs.
    return f".affectgpt-{hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:16]}"


@contextmanager
def _room_for(destination: Path) -> Iterator[Path]:
    prefix = _prefix(destination)
    # Known by its name only when it is locked: until then another process would take it for a dead one.
    made = Path(tempfile.mkdtemp(prefix=f"{prefix}.", dir=destination.parent))
    room = made.with_name(f"{prefix}-{made.name.rpartition('.')[2]}")
    with _threads:
        _own_rooms.add(room)
    try:
        with (made / LOCK_FILE).open("ab") as file:
            with suppress(RunError):
                lock(file, destination)
            os.rename(made, room)
            yield room
    finally:
        shutil.rmtree(made, ignore_errors=True)
        _remove_room(room, destination)
        with _threads:
            _own_rooms.discard(room)


def _remove_dead_rooms(destination: Path, *, refuse_others: bool) -> None:
    pattern = re.compile(re.escape(_prefix(destination)) + r"-[^.]+")
    if not destination.parent.is_dir():
        return
    for room in sorted(destination.parent.iterdir()):
        if not pattern.fullmatch(room.name):
            continue
        with _threads:
            is_own = room in _own_rooms
        is_dead = not is_own and _remove_if_dead(room, destination)
        if refuse_others and not is_dead and os.path.lexists(room):
            raise DataError(
                "another process is writing here" if not is_own else "this process is writing here already",
                where=str(destination),
                hint="wait for it, or stop it",
            )


def _remove_if_dead(room: Path, destination: Path) -> bool:
    """True unless somebody writes in `room`. Where that cannot be known, or it is not ours, it stays as it is."""
    try:
        if not _is_own_folder(room):
            return True
        with (room / LOCK_FILE).open("r+b") as file:
            if lock(file, destination):
                _restore(room / "old", destination)
                _remove_room(room, destination)
    except DataError:
        return False
    except (RunError, FileNotFoundError):
        return True
    return True


def _is_own_folder(path: Path) -> bool:
    # In a folder that all may write to, somebody else may have put a folder or a link there.
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and (os.name != "posix" or status.st_uid == os.geteuid())


def _restore(old: Path, destination: Path) -> None:
    """Undo half of an exchange."""
    if os.path.lexists(old) and not os.path.lexists(destination):
        os.rename(old, destination)


def _remove_room(room: Path, destination: Path) -> None:
    # The only copy of what was at the destination is never removed: the next writer restores it.
    if not os.path.lexists(room / "old") or os.path.lexists(destination):
        shutil.rmtree(room, ignore_errors=True)
