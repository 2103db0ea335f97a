"""How processes that read clips start and end; that those of `prefetch` end too is tested with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, sys
from pathlib import Path
from affectgpt.bundled import TINY
from affectgpt.core.saved.model import load
from affectgpt.data.samples import read_samples
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.discovery import discover
from affectgpt.training.micro_batches import BatchRequest, MicroBatchDataset, load_micro_batches

if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")
    pipeline = load(TINY, discover())
    samples, broken = read_samples(read_mer2025(Path(sys.argv[1]))[:4], pipeline.prepare, workers=2)
    requests = [BatchRequest((0, 1), 0), BatchRequest((2, 3), 0)]
    dataset = MicroBatchDataset(samples, pipeline.plan, 0.0)
    batches = [len(batch.answers) for batch in load_micro_batches(dataset, requests, 1)]
    print(len(samples), len(broken), batches)
"""
PARENT = """
import os, time
from affectgpt.training.micro_batches import BatchRequest, load_micro_batches

class Endless:
    def __getitem__(self, request):
        print(os.getpid(), flush=True)
        time.sleep(600)

if __name__ == "__main__":
    next(load_micro_batches(Endless(), [BatchRequest((0,), 0)], 1))
"""


def test_the_way_processes_start_by_default_does_not_matter(tmp_path: Path, synthetic_folder: Path) -> None:
    """Python 3.14 starts processes from a server, which then is their parent."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, tmp_path / "script.py", synthetic_folder], capture_output=True, text=True, timeout=120
    )
    assert process.stdout == "4 0 [2, 2]\n", process.stderr


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here")
def test_a_training_process_that_is_killed_takes_its_readers_along(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    is_running = _runs(worker)
    if is_running:
        os.kill(worker, signal.SIGKILL)
    assert not is_running


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
