"""Generates a folder of synthetic clips in the layout of MER2025, on several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path

from affectgpt.data.synthetic.clip import plan_clip, write_clip
from affectgpt.data.synthetic.difficulty import Difficulty
from affectgpt.data.synthetic.folder import check_replaceable, replacing, write_tables
from affectgpt.data.synthetic.identity import SPLIT_CODE, Split
from affectgpt.registry.errors import ConfigError, Problem, RunError, listed

MAX_CLIPS = 1_000_000
_DEFAULT = Difficulty()


def generate(
    out: Path,
    *,
    clips: int,
    seed: int,
    split: Split = "train",
    difficulty: Difficulty = _DEFAULT,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `clips` clips into the folder `out`, replacing an earlier set of synthetic clips there.

    A clip is decided by (`seed`, `split`, its index) alone: more clips or other `workers` leave it as it is. The two
    splits share no identity and no random stream, whatever their seeds. `out` appears at once when all is written
    (see [folder.replacing][]). `progress(done, total)` is called after each clip. With `workers` above 1, a script
    that calls this needs the usual `if __name__ == "__main__":` guard; with 1 all is done in this process.

    Raises ConfigError for impossible arguments, DataError when `out` holds anything else, RunError when a worker
    dies or the disk refuses.
    """
    _check(clips, seed, split, workers)
    check_replaceable(Path(out).resolve())
    plans = [plan_clip(seed, split, index, difficulty) for index in range(clips)]
    with replacing(Path(out)) as folder:
        (folder / "video").mkdir()
        tasks = [
            (folder / "video" / f"{plan.name}.mp4", seed, split, index, difficulty) for index, plan in enumerate(plans)
        ]
        with _finished(tasks, min(workers, clips)) as finished:
            for done, _ in enumerate(finished, 1):
                if progress is not None:
                    progress(done, clips)
        write_tables(folder, plans, seed=seed, split=split, difficulty=difficulty)


_Task = tuple[Path, int, Split, int, Difficulty]


def _check(clips: int, seed: int, split: str, workers: int) -> None:
    problems = []
    for what, value, least, most in (
        ("clips", clips, 1, MAX_CLIPS),
        ("workers", workers, 1, 256),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            problems.append(
                Problem(
                    f"unusable number of {what}" if what != "seed" else "unusable seed",
                    what,
                    repr(value),
                    f"a whole number from {least} to {most}",
                )
            )
    if split not in SPLIT_CODE:
        problems.append(Problem("unknown split", "split", repr(split), listed(SPLIT_CODE)))
    if problems:
        raise ConfigError.of(problems)


@contextmanager
def _finished(tasks: list[_Task], workers: int) -> Iterator[Iterator[str]]:
    """Yields an iterator that ends each time one more of `tasks` is written; leaves no process behind."""
    if workers == 1:
        yield (write_clip(*task) for task in tasks)
        return
    # Spawned, not forked: a fork of a process with running threads (torch, OpenCV) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        futures = [pool.submit(write_clip, *task) for task in tasks]
        yield (future.result() for future in as_completed(futures))
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process ended before its clip was written",
            found=str(error),
            hint="it may have run out of memory, or the script lacks `if __name__ == '__main__':`; try --workers 1",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which stops the pool, and end with the parent if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
