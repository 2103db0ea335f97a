"""Ctrl-C, SIGTERM and SIGHUP end training after its step, with a checkpoint; a second signal ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether this process got a signal to stop."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_on_signal(enabled: bool) -> Iterator[StopRequest]:
    """If `enabled` and in the main thread, record a signal instead of ending the process."""
    stop_request = StopRequest()
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield stop_request
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    # One that is ignored (`nohup`) stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, stop_request.request) for number in numbers}
    try:
        yield stop_request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
