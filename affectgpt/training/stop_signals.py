"""Ctrl-C and SIGTERM while training: the step is finished and a checkpoint written; a second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def heeded(wanted: bool) -> Iterator[Interruption]:
    """Signals are noted instead of ending the process, where `wanted` and this is the main thread."""
    interruption = Interruption()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {each: signal.signal(each, interruption.ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
