"""Clips read by several processes ahead of the model, in order; a clip that kills its process costs itself only."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import torch

from affectgpt.registry.errors import RunError
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import START, end_with

Item = TypeVar("Item")
Read = Callable[[int], Item]
AHEAD = 4
"""Clips per process that are read, or handed out to be read, before they are asked for, unless told otherwise."""
_NEW, _IDLE = -1, -2


def read_ahead(
    read: Read[Item], count: int, workers: int, lost: Callable[[int, str], Item], ahead: int = AHEAD
) -> Generator[Item]:
    """`read(0)`, ..., `read(count - 1)` in order; with no worker in this process, else by up to `workers` others.

    At most `ahead` times `workers` clips are in memory. When a process dies, `lost(index, how)` stands for what it was
    reading, or raises when its turn comes, and another process takes its place. What `read` raises comes through in
    its turn. Raises RunError when a process dies without having read anything. The processes end with the iterator and
    with this process.
    """
    workers = min(workers, count)
    if workers <= 0:
        yield from (_read_here(read, index, lost) for index in range(count))
        return
    check_main_guard(START)
    readers = [_Reader(read, ahead) for _ in range(workers)]
    ready: dict[int, Callable[[], Item]] = {}
    given = 0
    try:
        for wanted in range(count):
            while given < min(count, wanted + ahead * workers):
                min(readers, key=lambda each: len(each.held)).give(given)
                given += 1
            while wanted not in ready:
                for reader in _with_news(readers):
                    if not reader.receive(ready):
                        readers.remove(reader)
                        ready |= {index: partial(lost, index, how) for index, how in reader.died().items()}
                        readers.append(_Reader(read, ahead))
                        for index in reader.held:
                            readers[-1].give(index)
            yield ready.pop(wanted)()
    finally:
        for reader in readers:
            reader.stop()


def _read_here(read: Read[Item], index: int, lost: Callable[[int, str], Item]) -> Item:
    try:
        return read(index)
    except SystemExit as end:
        # A decoder that would end its process: here it may not.
        return lost(index, f"exit code {end.code}")


def _with_news(readers: list[_Reader[Item]]) -> list[_Reader[Item]]:
    news = wait([reader.results for reader in readers])
    return [reader for reader in readers if reader.results in news]


class _Reader(Generic[Item]):
    """One process and the clips that it `held`: handed to it, and not yet received."""

    def __init__(self, read: Read[Item], ahead: int) -> None:
        context: Any = multiprocessing.get_context(START)
        self.held: list[int] = []
        self._reading = context.RawValue("l", _NEW)
        self.results, theirs = context.Pipe(duplex=False)
        tasks, self._tasks = context.Pipe(duplex=False)
        mine = (self.results, self._tasks)
        self._process = context.Process(
            target=_work, args=(read, ahead, tasks, theirs, self._reading, mine, os.getpid()), daemon=True
        )
        self._process.start()
        tasks.close()
        theirs.close()

    def give(self, index: int) -> None:
        self.held.append(index)
        with suppress(OSError):  # a dead process is noticed when its results end
            self._tasks.send(index)

    def receive(self, ready: dict[int, Callable[[], Item]]) -> bool:
        """Put one result into `ready`; False when the process is dead."""
        try:
            index, result = int(self.results.recv_bytes()), self.results.recv_bytes()
        except (EOFError, OSError):
            return False
        self.held.remove(index)
        ready[index] = partial(_given, result)
        return True

    def died(self) -> dict[int, str]:
        """The clip that the process was reading when it died, taken out of `held`, and how it died."""
        self._process.join(5)
        self.stop()
        code = self._process.exitcode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        index = self._reading.value
        if index in self.held:
            self.held.remove(index)
            return {index: how}
        if index == _NEW:
            raise RunError(
                "a process that reads clips ended before it read one",
                found=how,
                hint="it may have run out of memory: use fewer --workers; with --workers 0 there is no such process",
            )
        return {}

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.results.close()
        self._tasks.close()


def _given(result: bytes) -> Any:
    try:
        item, error = pickle.loads(result)
    except Exception as problem:
        raise RunError(
            "what was read does not arrive whole from the process that read it",
            found=f"{type(problem).__name__}: {problem}",
            hint="with --workers 0 nothing is sent between processes",
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
    others: tuple[Connection, ...],
    parent: int,
) -> None:
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    # After a fork the threads of the parent's OpenMP are gone, and whoever waits for them waits for ever.
    torch.set_num_threads(1)
    for each in others:
        each.close()
    done: queue.Queue[tuple[int, bytes] | None] = queue.Queue(ahead)
    sender = threading.Thread(target=_send, args=(done, results), daemon=True)
    sender.start()
    try:
        with suppress(EOFError, OSError):
            while True:
                index = tasks.recv()
                reading.value = index
                result = _read(read, index)
                reading.value = _IDLE
                done.put((index, result))
    except BaseException:  # What a decoder may raise to end its process: that process is this one.
        done.put(None)
        sender.join()
        os._exit(1)
    done.put(None)
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


def _send(done: queue.Queue[tuple[int, bytes] | None], results: Connection) -> None:
    with suppress(OSError):
        while (message := done.get()) is not None:
            results.send_bytes(b"%d" % message[0])
            results.send_bytes(message[1])
