"""Processes that decode clips: how they start, and how they end with their parent, even when that is killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

# Forked where that can be: what they are given holds the encoders, which then need not be sent. Python 3.14 would not.
START_METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
_PR_SET_PDEATHSIG = 1


def exit_with_parent(parent: int) -> None:
    """End when the process `parent`, which started this one, does."""
    # torch's own watch takes whoever is the parent when the worker starts: one that is killed before then is missed.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def leave_signals_to_parent() -> None:
    """Let this worker go on after a signal to the whole process group: its parent, which gets it too, ends it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def watch_parent() -> None:
    """Start a thread that ends this process, which `multiprocessing` started, when its parent ends.

    Unlike [exit_with_parent][], it works on every system and with a parent whose threads come and go.
    """
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
