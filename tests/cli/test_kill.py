"""`affectgpt unibench` is killed at random moments and run again: the result is that of a run that was left alone."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = 10


def started(out: Path, data: Path, log: Path) -> subprocess.Popen[bytes]:
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    command = [sys.executable, "-c", script, "unibench", str(out), "--data", str(data), "--batch-size", "2"]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)


def run(out: Path, data: Path, log: Path) -> None:
    assert started(out, data, log).wait(timeout=300) == 0, log.read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    from affectgpt.data.synthetic.difficulty import Difficulty
    from affectgpt.data.synthetic.unibench import write_unibench

    data, whole, killed, log = (tmp_path / name for name in ("data", "whole", "killed", "log"))
    write_unibench(data, clips_per_set=6, seed=5, workers=2, difficulty=Difficulty(seconds=(1.0, 1.3)))
    run(whole, data, log)
    draw = random.Random(0)
    # Not at moments of the clock, which a busy machine shifts, but when so many bytes are there.
    for share in sorted(draw.uniform(0, 1) for _ in range(KILLS)):
        process = started(killed, data, log)
        while size(killed) < share * size(whole) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.1))
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    run(killed, data, log)
    assert contents(killed) == contents(whole)
