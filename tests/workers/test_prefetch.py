"""Reading by several processes: order, bounds, deaths of all kinds, and nothing left behind."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.registry.errors import MediaError, RunError
from affectgpt.workers.prefetch import AHEAD, prefetch


@pytest.fixture(autouse=True)
def _no_hang(stopped_after: Callable) -> Any:
    with stopped_after(60):
        yield


def lost(index: int, how: str) -> tuple[int, str]:
    return index, how


def children() -> set[int]:
    process = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return {int(pid) for pid in process.split() if Path(f"/proc/{pid}").exists()}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_all_is_read_in_order(workers: int) -> None:
    def read(index: int) -> torch.Tensor:
        time.sleep(0.02 * (index % 3 == 0))
        return torch.full((300, 300), index)

    before = children()
    items = list(prefetch(read, 20, workers, lost))
    assert [int(item[0, 0]) for item in items] == list(range(20)) and items[3].shape == (300, 300)
    assert list(prefetch(read, 0, workers, lost)) == [] and children() <= before


def test_no_more_is_read_than_a_little_ahead(tmp_path: Path) -> None:
    def read(index: int) -> bytes:
        (tmp_path / str(index)).touch()
        return bytes(1 << 20)

    items = prefetch(read, 10_000, 2, lost)
    for count in range(1, 4):
        next(items)
        time.sleep(0.3)
        assert count <= len(list(tmp_path.iterdir())) <= count + 2 * AHEAD
    items.close()


def test_work_goes_on_while_the_reader_of_results_is_busy(tmp_path: Path) -> None:
    def read(index: int) -> bytes:
        (tmp_path / str(index)).touch()
        return bytes(1 << 20)

    items = prefetch(read, 100, 2, lost)
    next(items)
    while len(list(tmp_path.iterdir())) < AHEAD:
        time.sleep(0.01)
    items.close()


@pytest.mark.parametrize("ahead", [1, 30])
def test_as_much_is_read_ahead_as_was_asked_for_and_no_more(tmp_path: Path, ahead: int) -> None:
    def read(index: int) -> bytes:
        (tmp_path / str(index)).touch()
        return bytes(1 << 20)

    items = prefetch(read, 1000, 2, lost, ahead)
    for count in range(1, 4):
        next(items)
        while len(list(tmp_path.iterdir())) < count - 1 + 2 * ahead:
            time.sleep(0.01)
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) <= 3 + 2 * ahead
    items.close()


@pytest.mark.parametrize(
    "bad",
    [[0, 7, 8, 9, 15], *(pytest.param(bad, marks=pytest.mark.slow) for bad in ([0], [19], [3, 4], list(range(20))))],
    ids=str,
)
@pytest.mark.parametrize("death", ["exit", "kill", "segfault"])
def test_a_clip_that_kills_its_process_is_lost_and_no_other(bad: list[int], death: str) -> None:
    def read(index: int) -> Any:
        if index in bad:
            if death == "exit":
                os._exit(3)
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGKILL if death == "kill" else signal.SIGSEGV)
        return bytes(200_000) if index % 2 else index

    how = {"exit": "exit code 3", "kill": "killed by SIGKILL", "segfault": "killed by SIGSEGV"}[death]
    items = list(prefetch(read, 20, 2, lost))
    assert items == [(index, how) if index in bad else bytes(200_000) if index % 2 else index for index in range(20)]


@pytest.mark.parametrize("way", [SystemExit("no codec"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_ends_a_process_loses_its_clip_and_no_other(way: BaseException) -> None:
    def read(index: int) -> int:
        if index in (0, 5):
            raise way
        return index

    items = list(prefetch(read, 9, 2, lost))
    assert items == [(index, "exit code 1") if index in (0, 5) else index for index in range(9)]


def test_without_processes_the_end_of_this_one_loses_the_clip() -> None:
    def read(index: int) -> int:
        if index == 1:
            sys.exit(0)
        return index

    assert list(prefetch(read, 3, 0, lost)) == [0, (1, "exit code 0"), 2]


class Wordless(Exception):
    """An error that has no text."""

    def __str__(self) -> str:
        raise ValueError


class Misfit:
    """What can be sent, and not be received."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> tuple:
        return _raise, (self.error,)


def _raise(error: type[Exception]) -> None:
    raise error("cut off")


def test_an_error_without_a_text_comes_through() -> None:
    def read(index: int) -> int:
        if index == 2:
            raise Wordless
        return index

    items = prefetch(read, 9, 2, lost)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(RuntimeError, match="Wordless"):
        next(items)


@pytest.mark.parametrize("error", [EOFError, OSError, AttributeError])
def test_what_does_not_arrive_is_told_in_its_turn(error: type[Exception]) -> None:
    items = prefetch(lambda index: Misfit(error) if index == 2 else index, 9, 2, lost)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(RunError, match="cannot be unpickled"):
        next(items)


def test_a_process_that_dies_between_clips_costs_none() -> None:
    before = children()
    stream = prefetch(lambda index: bytes(300_000), 40, 2, lost)
    items = [next(stream)]
    for _ in range(3):
        time.sleep(0.1)
        for child in children() - before:
            os.kill(child, signal.SIGKILL)
        items.append(next(stream))
    items += stream
    # What was being read at that moment may be blamed; nothing is skipped, and no other is lost.
    assert len(items) == 40 and sum(isinstance(item, bytes) for item in items) >= 40 - 6


def test_a_process_that_dies_before_it_sent_what_it_read_costs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(tasks: Any, results: Any) -> None:
        while (message := tasks.get()) is not None:
            # The last clip: no other is being read, which could be blamed.
            if message[0] == 4 and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            results.send_bytes(b"%d" % message[0])
            results.send_bytes(message[1])

    monkeypatch.setattr("affectgpt.workers.prefetch._send", dying)
    assert list(prefetch(lambda index: index, 5, 1, lost)) == [0, 1, 2, 3, 4]
    assert (tmp_path / "died").exists()


def test_processes_that_die_before_they_read_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectgpt.workers.prefetch.exit_with_parent", lambda *_: os._exit(1))
    with pytest.raises(RunError, match="before it read one"):
        list(prefetch(int, 5, 2, lost))


def test_an_error_of_a_reader_comes_through_and_ends_the_others() -> None:
    def read(index: int) -> int:
        if index == 5:
            raise MediaError("broken", where="clip 5", hint="mend it")
        return index

    before, items, received = children(), prefetch(read, 20, 2, lost), []
    with pytest.raises(MediaError) as error:
        for item in items:
            received.append(item)
    assert received == list(range(len(received))) and error.value.problems[0].hint == "mend it"
    assert children() <= before


def test_an_error_that_cannot_be_sent_is_told() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} {two}")

    def read(index: int) -> int:
        raise Odd(1, 2)

    with pytest.raises(RuntimeError, match="Odd: 1 2"):
        list(prefetch(read, 3, 1, lost))


def test_lost_may_refuse_to_go_on() -> None:
    def refuse(index: int, how: str) -> int:
        raise RunError("no", where=str(index))

    before = children()
    with pytest.raises(RunError, match="4"):
        list(prefetch(lambda index: os._exit(1) if index == 4 else index, 20, 2, refuse))
    assert children() <= before


def test_leaving_early_leaves_no_process() -> None:
    before = children()
    items = prefetch(lambda index: bytes(1 << 20), 100, 3, lost)
    next(items)
    assert len(children() - before) == 3
    items.close()
    assert children() <= before


def test_a_parent_that_is_killed_takes_its_processes_along() -> None:
    script = """
import time, sys
from affectgpt.workers.prefetch import prefetch
items = prefetch(lambda index: time.sleep(60) if index else 0, 100, 2, None)
next(items)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    workers = [int(pid) for pid in listed.split()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            return
        time.sleep(0.05)
    raise AssertionError("processes outlive the killed one")


def test_operators_that_ran_on_threads_before_the_fork_do_not_hang_the_readers() -> None:
    script = """
import torch
from affectgpt.workers.prefetch import prefetch
torch.set_num_threads(4)
wide = torch.randn(600, 600)
(wide @ wide).exp().sum()
print(len(list(prefetch(lambda index: (wide @ wide).exp().sum(), 6, 2, None))))
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50, env=environment
    )
    assert process.stdout == "6\n", process.stderr
    assert threading.active_count() >= 1


def test_a_worker_that_hangs_is_ended_and_loses_its_clip_only() -> None:
    def read(index: int) -> int:
        while index in (0, 4):
            time.sleep(1)
        return index

    items = list(prefetch(read, 9, 2, lost, seconds=0.5))
    assert items == [(index, "not done after 0.5 s, and ended") if index in (0, 4) else index for index in range(9)]
    assert list(prefetch(read, 1, 1, lost, seconds=0.2)) == [(0, "not done after 0.2 s, and ended")]


@pytest.mark.parametrize("way", [SystemExit(3), GeneratorExit(), BaseException("odd")], ids=repr)
def test_what_would_end_this_process_loses_its_clip_and_no_other(way: BaseException) -> None:
    def read(index: int) -> int:
        if index == 1:
            raise way
        return index

    items = list(prefetch(read, 3, 0, lost))
    assert items[::2] == [0, 2] and items[1][0] == 1  # type: ignore[index]


def test_ctrl_c_ends_what_this_process_reads() -> None:
    def read(index: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(prefetch(read, 3, 0, lost))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_goes_on_after_a_signal_to_the_whole_group(number: signal.Signals) -> None:
    def read(index: int) -> int:
        os.kill(os.getpid(), number)
        return index

    assert list(prefetch(read, 4, 2, lost)) == [0, 1, 2, 3]
