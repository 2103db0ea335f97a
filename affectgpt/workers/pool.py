"""Run one function over many tasks on several processes; no process outlives the call."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from affectgpt.registry.errors import RunError
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import leave_signals_to_parent, watch_parent

Result = TypeVar("Result")


@contextmanager
def run_tasks(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Iterator[Result]]:
    """Yields an iterator over what `function(*task)` returns, as the tasks end; 0 or 1 worker: in this process.

    Several workers are spawned: raises ConfigError when the running script has no `if __name__ == "__main__":` around
    the call ([check_main_guard][]), RunError when a worker dies; what `function` raises comes through.
    """
    if workers <= 1:
        yield (function(*task) for task in tasks)
        return
    check_main_guard()
    # Spawned, not forked: a fork of a process with running threads (torch, OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        futures = [pool.submit(function, *task) for task in tasks]
        yield (future.result() for future in as_completed(futures))
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process ended before its clip was finished",
            found=str(error),
            hint="it may have run out of memory: use fewer workers; with workers=0 there is no such process",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    leave_signals_to_parent()
    # With it the executor ends the others when one was killed while it held a lock that they wait for.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    watch_parent()
