"""Write files atomically: after a kill a file is complete or as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path


def write_atomic(path: Path, text: str) -> None:
    """Write a text file by way of `.NAME.part` beside it, which a kill may leave and the next writing replaces.

    Processes that write into one folder take turns. Raises OSError; the file is then as it was before.
    """
    write_all_atomic({path: text})


def write_all_atomic(texts: Mapping[Path, str]) -> None:
    """Write several text files as [write_atomic][] does one; none is renamed before all are on the disk."""
    parts = {path: path.with_name(f".{path.name}.part") for path in texts}
    with ExitStack() as turns:
        for folder in sorted({path.parent for path in texts}):
            turns.enter_context(_folder_lock(folder))
        try:
            for path, part in parts.items():
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
                with part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                    file.write(texts[path])
                    file.flush()
                    os.fsync(file.fileno())
            for path, part in parts.items():
                os.replace(part, path)
        except BaseException:
            for part in parts.values():
                part.unlink(missing_ok=True)
            raise


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write a file by way of `.NAME.part` beside it, for a folder with one writer; it is on the disk on return.

    Raises OSError; the file is then as it was before.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        if os.name == "posix":
            sync_to_disk(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder (POSIX only), are on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock: two writers there are the user's to avoid.
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
