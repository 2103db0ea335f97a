"""Processes that decode clips and end with the process that started them, even when that is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with(parent: int, _: int) -> None:
    """A DataLoader's `worker_init_fn`, as `partial(end_with, os.getpid())`."""
    # torch's own watch takes whoever is the parent when the worker starts: one that is killed before then is missed.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
