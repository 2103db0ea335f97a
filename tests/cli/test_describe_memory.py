"""`affectgpt describe FOLDER` holds no more memory after 500 files than after 50."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import affectgpt as ag

FILES, EARLY, LATE = 500, 50, 490
DIFFERENT = 20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of a process is read from /proc")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_memory_after_500_files_is_that_after_50(tmp_path: Path, workers: str) -> None:
    ag.synth(tmp_path / "set", clips=DIFFERENT, seed=11, split="test")
    folder = tmp_path / "clips"
    folder.mkdir()
    clips = sorted((tmp_path / "set" / "video").iterdir())
    for index in range(FILES):
        shutil.copy(clips[index % DIFFERENT], folder / f"clip_{index:03}.mp4")
    memory: dict[int, int] = {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "affectgpt", "describe", str(folder), "--workers", workers]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        rows = (line for line in process.stdout if line.startswith("  counted: "))
        for number, _ in enumerate(rows, start=1):
            if number in (EARLY, LATE):
                memory[number] = resident(process.pid)
    assert process.returncode == 0
    assert number == FILES
    assert memory[LATE] <= 1.05 * memory[EARLY], memory


def resident(process: int) -> int:
    """Kilobytes of memory that the process holds now."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert match is not None
    return int(match[1])
