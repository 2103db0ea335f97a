"""`benchmarks/kernel_gpu.py` runs from end to end on a machine without a GPU, in Triton's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "benchmarks" / "kernel_gpu.py")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
    )


@pytest.mark.slow
def test_it_tests_measures_and_writes_every_shape(tmp_path: Path) -> None:
    arguments = ("--device", "cpu", "--quick", "--out", "results/kernel")
    process = run(tmp_path, *arguments, TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads((tmp_path / "results" / "kernel.json").read_text())
    assert result["failed_tests"] == [] and result["not_run"] == [] and len(result["rows"]) == 2
    for row in result["rows"]:
        for mode in ("forward", "training"):
            assert set(row[mode]) == {"ours", "eager", "sdpa"} and all("median" in each for each in row[mode].values())
            assert row[f"{mode}_ratio"] > 0
    assert (tmp_path / "results" / "kernel.md").read_text().count("\n| ") == 4


@pytest.mark.slow
def test_time_that_is_up_leaves_shapes_listed(tmp_path: Path) -> None:
    arguments = ("--device", "cpu", "--quick", "--seconds", "0", "--out", "kernel")
    process = run(tmp_path, *arguments, TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert process.returncode == 0, process.stdout + process.stderr
    assert len(json.loads((tmp_path / "kernel.json").read_text())["not_run"]) == 2
