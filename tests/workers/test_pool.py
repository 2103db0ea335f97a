"""Tasks on several processes: one that is killed is an error of the run, wherever it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The executor's processes share two locks: one to take a task, one to send back what it gave.
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from affectgpt.registry.errors import RunError
from affectgpt.workers.pool import run_tasks

def work(number, folder, queue, lock):
    folder = Path(folder)
    if number:
        (folder / str(os.getpid())).touch()
        while not (folder / "locked").exists():
            time.sleep(0.01)
        return number
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    frame = sys._getframe()
    while queue not in frame.f_locals:
        frame = frame.f_back
    getattr(frame.f_locals[queue], lock).acquire()
    (folder / "locked").touch()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    try:
        with run_tasks(work, [(number, *sys.argv[1:]) for number in range(8)], 3) as results:
            list(results)
    except RunError as error:
        print(error)
"""


@pytest.mark.parametrize(("queue", "lock"), [("result_queue", "_wlock"), ("call_queue", "_rlock")])
def test_a_worker_that_is_killed_with_a_lock_stops_the_run(tmp_path: Path, queue: str, lock: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "workers").mkdir()
    command = [sys.executable, script, tmp_path / "workers", queue, lock]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.stdout.startswith("a worker process ended"), process.stderr
