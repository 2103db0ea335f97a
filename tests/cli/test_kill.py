"""`affectgpt unibench` is killed at random moments and run again: the result is that of a run that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

KILLS = 10


def started(out: Path, log: Path) -> subprocess.Popen[bytes]:
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    command = [sys.executable, "-c", script, "unibench", str(out), "--synthetic", "2", "--batch-size", "1"]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)


def run(out: Path, log: Path) -> None:
    assert started(out, log).wait(timeout=300) == 0, log.read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def size(folder: Path, suffix: str) -> int:
    sizes = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            # A folder that is being written may be renamed in between.
            with suppress(OSError):
                sizes += os.path.getsize(os.path.join(inside, name)) if name.endswith(suffix) else 0
    return sizes


def left_behind(folder: Path) -> list[str]:
    """The processes whose command names `folder`, a while after the last one of ours ended."""
    for _ in range(100):
        names = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                names += [process.name] if str(folder).encode() in (process / "cmdline").read_bytes() else []
        if not names:
            break
        time.sleep(0.1)
    return names


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    uninterrupted, killed, log = (tmp_path / name for name in ("whole", "killed", "log"))
    run(uninterrupted, log)
    draw = random.Random(0)
    # Not at moments of the clock, which a busy machine shifts, but when so many bytes of data or of rows are there.
    moments = [(".mp4", draw.uniform(0, 0.9)) for _ in range(2)]
    moments += [(".jsonl", share) for share in sorted(draw.uniform(0, 1) for _ in range(KILLS - len(moments)))]
    for suffix, share in moments:
        process = started(killed, log)
        while size(killed, suffix) < share * size(uninterrupted, suffix) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.1))
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    run(killed, log)
    assert contents(killed) == contents(uninterrupted)
    assert not left_behind(tmp_path), "processes outlive the killed one"
