"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

# Read once, when huggingface_hub is imported: without it, a missing model costs a minute of tries on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts a background command so; the programs that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def catalog() -> Catalog:
    """A fresh catalog of everything installed."""
    return discover()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material, which is not part of the repository."""
    folder = Path(os.environ.get("AFFECTGPT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the reference folder is not here: set AFFECTGPT_SHARED to it")
    return folder


@contextmanager
def _stopped_after(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def stopped_after() -> Callable[[int], AbstractContextManager[None]]:
    """Fails what hangs: to be given a time that is far beyond what the work takes on any machine."""
    return _stopped_after
