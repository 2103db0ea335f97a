"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

# Read once, when huggingface_hub is imported: without it, a missing model costs a minute of tries on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Each process of pytest-xdist has a core; more threads would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from filelock import FileLock

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover

ROOT = Path(__file__).resolve().parent.parent
WriteOnce = Callable[[str, Callable[[Path], object]], Path]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts a background command so; the programs that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_compiler_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Workers that share a cache of compiled code read files that another one is writing.
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        os.environ[name] = str(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session", autouse=True)
def _packages_are_searched_once() -> Iterator[None]:
    # Many tests make a catalog, and the folders of Python's path stay as they are meanwhile.
    @cache
    def search(path: tuple[str, ...], group: str) -> EntryPoints:
        return entry_points(group=group)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affectgpt.registry.discovery.entry_points", lambda group: search(tuple(sys.path), group))
        yield


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


@pytest.fixture(scope="session")
def synthetic_folder(write_once: WriteOnce) -> Path:
    """32 synthetic training clips of seed 7. Not to be changed by a test."""
    from affectgpt.synthetic.clips import write_clips
    from affectgpt.synthetic.difficulty import Difficulty

    short = Difficulty(seconds=(1.5, 2.5))
    return write_once("train", lambda folder: write_clips(folder, clips=32, seed=7, workers=1, difficulty=short))


@pytest.fixture(scope="session")
def benchmark_folder(write_once: WriteOnce) -> Path:
    """The nine test sets with 3 short clips each. Not to be changed by a test."""
    from affectgpt.synthetic.difficulty import Difficulty
    from affectgpt.synthetic.unibench import write_unibench

    def write(folder: Path) -> None:
        write_unibench(folder, clips_per_set=3, seed=5, workers=1, difficulty=Difficulty(seconds=(1.0, 1.2)))

    return write_once("benchmark", write)


@pytest.fixture(scope="session")
def write_once(tmp_path_factory: pytest.TempPathFactory) -> WriteOnce:
    """Gives a folder of this run by its name. The first process that needs it fills it by the function."""
    root = tmp_path_factory.getbasetemp()

    def call(name: str, write: Callable[[Path], object]) -> Path:
        run_root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
        folder, unfinished = run_root / name, run_root / f"unfinished-{name.replace('/', '-')}"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(run_root / f"{unfinished.name}.lock"):
            if not folder.is_dir():
                shutil.rmtree(unfinished, ignore_errors=True)
                write(unfinished)
                unfinished.rename(folder)
        return folder

    return call


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
