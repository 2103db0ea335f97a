"""Prefetch: worker processes read clips in order, ahead of the model; a clip that kills its worker is the only loss."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import torch

from affectgpt.registry.errors import RunError
from affectgpt.registry.messages import one_line
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import START_METHOD, exit_with_parent, leave_signals_to_parent

Item = TypeVar("Item")
Read = Callable[[int], Item]
AHEAD = 4
"""Default number of clips per worker that are read, or assigned to be read, ahead of the consumer."""
CLIP_SECONDS = 1800.0
"""Default time after which a worker that still reads the same clip is taken to hang."""
_NEW, _IDLE = -1, -2


def prefetch(
    read: Read[Item],
    count: int,
    workers: int,
    on_death: Callable[[int, str], Item],
    ahead: int = AHEAD,
    seconds: float = CLIP_SECONDS,
) -> Generator[Item]:
    """`read(0)`, ..., `read(count - 1)` in order; with no worker in this process, else by up to `workers` others.

    At most `ahead * workers` clips are in memory. When a worker dies, `on_death(index, how)` returns the item for the
    clip that it was reading, or raises when that clip's turn comes; a new worker replaces it. A worker that reads one
    clip for more than `seconds` is ended; in this process, nothing could end it. An exception of `read` is
    raised at the clip's turn. Raises RunError when a worker dies before it read anything. The workers end with the
    iterator and with this process.
    """
    workers = min(workers, count)
    if workers <= 0:
        yield from (_read_in_process(read, index, on_death) for index in range(count))
        return
    check_main_guard(START_METHOD)
    readers = [_Reader(read, ahead) for _ in range(workers)]
    ready: dict[int, Callable[[], Item]] = {}
    next_index = 0
    try:
        for index in range(count):
            while next_index < min(count, index + ahead * workers):
                min(readers, key=lambda reader: len(reader.assigned)).assign(next_index)
                next_index += 1
            while index not in ready:
                for reader in _ready_readers(readers, seconds):
                    if not reader.receive(ready):
                        readers.remove(reader)
                        ready |= {lost: partial(on_death, lost, how) for lost, how in reader.take_lost().items()}
                        readers.append(_Reader(read, ahead))
                        for unread in reader.assigned:
                            readers[-1].assign(unread)
            yield ready.pop(index)()
    finally:
        for reader in readers:
            reader.stop()


def _read_in_process(read: Read[Item], index: int, on_death: Callable[[int, str], Item]) -> Item:
    try:
        return read(index)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as end:
        # A decoder must not end the main process.
        return on_death(index, f"exit code {end.code}" if isinstance(end, SystemExit) else one_line(end))


def _ready_readers(readers: list[_Reader[Item]], seconds: float) -> list[_Reader[Item]]:
    news: list[Any] = []
    while not news:
        for reader in readers:
            reader.end_when_overdue(seconds)
        remaining = min(seconds - reader.seconds_reading() for reader in readers)
        news = wait([reader.results for reader in readers], max(0.0, remaining))
    return [reader for reader in readers if reader.results in news]


class _Reader(Generic[Item]):
    """One worker process. `assigned` holds the indices sent to it whose results have not arrived."""

    def __init__(self, read: Read[Item], ahead: int) -> None:
        context: Any = multiprocessing.get_context(START_METHOD)
        self.assigned: list[int] = []
        self._reading = context.RawValue("l", _NEW)
        self._since = context.RawValue("d", 0.0)
        self._overdue = ""
        self.results, child_end = context.Pipe(duplex=False)
        tasks, self._tasks = context.Pipe(duplex=False)
        parent_ends = (self.results, self._tasks)
        self._process = context.Process(
            target=_work,
            args=(read, ahead, tasks, child_end, self._reading, self._since, parent_ends, os.getpid()),
            daemon=True,
        )
        self._process.start()
        tasks.close()
        child_end.close()

    def assign(self, index: int) -> None:
        self.assigned.append(index)
        with suppress(OSError):  # a dead process is noticed when its results end
            self._tasks.send(index)

    def receive(self, ready: dict[int, Callable[[], Item]]) -> bool:
        """Put one result into `ready`; False when the process is dead."""
        try:
            index, result = int(self.results.recv_bytes()), self.results.recv_bytes()
        except (EOFError, OSError):
            return False
        self.assigned.remove(index)
        ready[index] = partial(_unpickle, result)
        return True

    def seconds_reading(self) -> float:
        """How long the process has been reading its present clip; 0 while it waits."""
        return time.monotonic() - self._since.value if self._reading.value >= 0 else 0.0

    def end_when_overdue(self, seconds: float) -> None:
        """Kill the process when it has been reading one clip for longer than `seconds`."""
        if not self._overdue and self.seconds_reading() >= seconds:
            self._overdue = f"not done after {seconds:g} s, and ended"
            self._process.kill()

    def take_lost(self) -> dict[int, str]:
        """Remove the clip that the dead worker was reading from `assigned`; its index and how the worker died."""
        self._process.join(5)
        self.stop()
        code = self._process.exitcode or 0
        how = self._overdue or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        index = self._reading.value
        if index in self.assigned:
            self.assigned.remove(index)
            return {index: how}
        if index == _NEW:
            raise RunError(
                "a process that reads clips ended before it read one",
                found=how,
                hint="it may have run out of memory: use fewer workers; with workers=0 there is no such process",
            )
        return {}

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.results.close()
        self._tasks.close()


def _unpickle(result: bytes) -> Any:
    try:
        item, error = pickle.loads(result)
    except Exception as problem:
        raise RunError(
            "a worker's result cannot be unpickled",
            found=f"{type(problem).__name__}: {problem}",
            hint="with workers=0 nothing is sent between processes",
        ) from problem
    if error is not None:
        raise error
    return item


def _work(
    read: Read[Any],
    ahead: int,
    tasks: Connection,
    results: Connection,
    reading: Any,
    since: Any,
    parent_ends: tuple[Connection, ...],
    parent: int,
) -> None:
    exit_with_parent(parent)
    leave_signals_to_parent()
    # A fork has no OpenMP threads of the parent: waiting for them would never end.
    torch.set_num_threads(1)
    for connection in parent_ends:
        connection.close()
    outbox: queue.Queue[tuple[int, bytes] | None] = queue.Queue(ahead)
    sender = threading.Thread(target=_send, args=(outbox, results), daemon=True)
    sender.start()
    try:
        with suppress(EOFError, OSError):
            while True:
                index = tasks.recv()
                # Before the index: what is read now must not be given the time of what was read before.
                since.value = time.monotonic()
                reading.value = index
                result = _read(read, index)
                reading.value = _IDLE
                outbox.put((index, result))
    except BaseException:  # A decoder may raise it to end its process, which is this worker.
        outbox.put(None)
        sender.join()
        os._exit(1)
    outbox.put(None)
    sender.join()


def _read(read: Read[Any], index: int) -> bytes:
    try:
        return pickle.dumps((read(index), None))
    except Exception as error:
        return pickle.dumps((None, _sendable(error)))


def _sendable(error: Exception) -> Exception:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        return RuntimeError(type(error).__name__)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(text)
    return error


def _send(outbox: queue.Queue[tuple[int, bytes] | None], results: Connection) -> None:
    with suppress(OSError):
        while (message := outbox.get()) is not None:
            results.send_bytes(b"%d" % message[0])
            results.send_bytes(message[1])
