"""Standard output belongs to a command's result: what plugins print goes elsewhere, and a failed write is an error."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TextIO, TypeVar, cast

from affectgpt.registry.errors import RunError

Result = TypeVar("Result")

# The stream of a command's result while `sys.stdout` is something else.
_result: TextIO | None = None


class OutputError(RunError):
    """Standard output took no more."""

    def __init__(self, error: OSError) -> None:
        self.reader_is_gone = error.errno == errno.EPIPE
        super().__init__(
            "the result could not be written",
            where="standard output",
            found="it is closed" if error.errno == errno.EBADF else error.strerror or str(error),
            hint="make room, or send it elsewhere; what was written of it is not whole",
        )


class _ResultFile(io.FileIO):
    """Raises [OutputError][] once, for the first write that fails, and drops what comes after it."""

    error: OutputError | None = None

    def write(self, data: Any) -> int:
        if self.error is not None:
            return len(data)
        try:
            while (count := super().write(data)) is None:
                # Who shares the pipe or terminal may have set it not to wait.
                select.select([], [self], [])
        except OSError as error:
            self.error = OutputError(error)
            raise self.error from error
        return count


class _MessageFile(io.FileIO):
    """Drops what cannot be written: a message that nobody can read must not end the work."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


class _ResultStream(io.TextIOBase):
    # What `sys.stdout` is at each write: Rich itself writes past a live display, which then erases the lines.
    encoding = property(lambda self: _present().encoding)

    def write(self, text: str) -> int:
        with _failure_as_output_error():
            return _present().write(text)

    def flush(self) -> None:
        with _failure_as_output_error():
            _present().flush()

    def isatty(self) -> bool:
        return _present().isatty()

    def fileno(self) -> int:
        return _present().fileno()


RESULT = cast(TextIO, _ResultStream())
"""Where the result of a command is written: standard output, also while `sys.stdout` is something else."""


def _present() -> TextIO:
    return _result or sys.stdout


@contextmanager
def _failure_as_output_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(error) from error


def echo(text: str = "", *, nl: bool = True) -> None:
    """Write a part of a command's result, at once. Raises OutputError."""
    RESULT.write(text + "\n" if nl else text)
    RESULT.flush()


@contextmanager
def checked_streams() -> Iterator[Callable[[], None]]:
    """Standard streams that are there, buffered, and take any text: a name of a file may hold bytes that are none.

    What standard output does not take raises [OutputError][]; what standard error does not take is dropped. Yields a
    function for the end of the block: it writes what is left, and raises OutputError for any write that failed, also
    where something inside the block swallowed that.
    """
    _open_closed_handles()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _rebuilt(sys.stdout, 1), _rebuilt(sys.stderr, 2)
    result, file = sys.stdout, _result_file(sys.stdout)

    def finish() -> None:
        # A disk may refuse what it took, when all is written.
        with _failure_as_output_error():
            (result.flush if file is None else result.close)()
        if file is not None and file.error is not None:
            raise file.error

    try:
        yield finish
    finally:
        sys.stdout, sys.stderr = streams


def _open_closed_handles() -> None:
    # A file that is opened later would get the handle of a closed stream, and with it what is printed.
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            # Standard output that cannot be written to: a result must not be lost without a word.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY if handle == 1 else os.O_RDWR), True)


def _rebuilt(stream: Any, handle: int) -> Any:
    """`stream` with a file of ours under it; where it is no plain file (a test, a notebook), as it is."""
    if stream is not None and not _is_plain(stream, handle):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        return stream
    file = _ResultFile(os.dup(1), "wb") if handle == 1 else _MessageFile(2, "wb", closefd=False)
    if stream is not None:
        stream.flush()
    # Python's own streams have no buffer with PYTHONUNBUFFERED: of a write that the disk cuts, the rest is lost there.
    at_once = handle == 2 or file.isatty() or (stream is not None and stream.write_through)
    encoding = "utf-8" if stream is None else stream.encoding
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, errors="backslashreplace", line_buffering=at_once)


def _is_plain(stream: Any, handle: int) -> bool:
    buffer = getattr(stream, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return isinstance(file, io.FileIO) and not file.closed and file.fileno() == handle


def _result_file(stream: Any) -> _ResultFile | None:
    file = getattr(getattr(stream, "buffer", None), "raw", None)
    return file if isinstance(file, _ResultFile) else None


@contextmanager
def result_apart() -> Iterator[None]:
    """In the block what is printed goes to standard error, also by code in C and by other programs; [RESULT][] stays.

    In a terminal nothing changes: both streams end there, and a live display must know of what is printed.
    """
    global _result
    if _result is not None or sys.stdout.isatty():
        yield
        return
    _result, sys.stdout = sys.stdout, sys.stderr
    file = _result_file(_result)
    if file is not None:
        _point(1, 2)
    try:
        yield
    finally:
        sys.stdout, _result = _result, None
        if file is not None:
            _point(1, file.fileno())


def _point(handle: int, target: int) -> None:
    if "ctypes" in sys.modules and os.name == "posix":
        # What code in C printed until now.
        sys.modules["ctypes"].CDLL(None).fflush(None)
    os.dup2(target, handle)


def with_result_apart(command: Callable[..., Result]) -> Callable[..., Result]:
    """`command` in [result_apart][]. What ends the process inside it is an error: no code of ours does."""

    @wraps(command)
    def call(*arguments: Any, **options: Any) -> Result:
        with result_apart():
            try:
                return command(*arguments, **options)
            except SystemExit as end:
                raise RunError(
                    "code that this command called wanted to end the process",
                    found=f"SystemExit({end.code!r})",
                    hint="a plugin must not: run again with --debug to see which",
                ) from end

    return call


def end_of_result() -> None:
    """For the end of the process: what is printed from now on, by plugins that clean up, goes to standard error."""
    sys.stdout = sys.stderr = _rebuilt(sys.stderr, 2)
    if _is_plain(sys.__stdout__, 1):
        _point(1, 2)
