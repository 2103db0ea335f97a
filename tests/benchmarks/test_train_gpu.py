"""`benchmarks/train_gpu.py` runs from end to end on a machine without a GPU, on small parts of the same kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "benchmarks" / "train_gpu.py")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.mark.slow
def test_it_measures_and_writes_every_row(tmp_path: Path) -> None:
    sizes = ("--steps", "2", "--new-tokens", "4", "--answer", "12")
    process = run(tmp_path, "--device", "cpu", "--quick", *sizes, "--out", "results/train.json")
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads((tmp_path / "results" / "train.json").read_text())
    rows = result["rows"]
    assert len(rows) == 5 and result["not_run"] == [] and result["machine"]["processes"] == 1
    trained = {name: row for name, row in rows.items() if name != "generation"}
    for row in trained.values():
        assert row["step_seconds"]["least"] > 0 and 0 < row["share_outside_llm"] < 1
        assert row["tokens_per_step"] == rows["cached features"]["tokens_per_step"]
    assert set(rows["generation"]) == {"batch 1", "batch 4", "batch 16"}


@pytest.mark.slow
def test_time_that_is_up_leaves_rows_listed(tmp_path: Path) -> None:
    process = run(tmp_path, "--device", "cpu", "--quick", "--seconds", "0", "--out", "train.json")
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "train.json").read_text())
    assert result["rows"] == {} and len(result["not_run"]) == 5
