"""SIGTERM and SIGHUP end a command as Ctrl-C does: what it had begun to write is removed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AT_ONCE = 1.0
"""Seconds in which the same signal counts once: `timeout` sends it to the process and to its group."""


class Terminated(KeyboardInterrupt):
    """A signal asks the process to end; whatever lets Ctrl-C through lets this through."""


class Termination:
    """Which signal asked this process to end; None: none."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._time = 0.0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal. Raises Terminated."""
        now = time.monotonic()
        if self.signal is not None and now < self._time + _AT_ONCE:
            return
        self.signal, self._time = signal.Signals(number), now
        raise Terminated


@contextmanager
def terminated_by_signals() -> Iterator[Termination]:
    """In the block, SIGTERM and SIGHUP raise [Terminated][] in the main thread; one that is ignored (`nohup`) stays so.

    A handler of the caller stays, too.
    """
    termination = Termination()
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    former = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) is signal.SIG_DFL:
                former[number] = signal.signal(number, termination.handle)
    try:
        yield termination
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
