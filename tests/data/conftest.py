"""One small synthetic set for all data tests: writing clips is what takes the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgpt.synthetic.clips import generate
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.unibench import write_unibench

CLIPS, SEED = 32, 7


@pytest.fixture(scope="session")
def synthetic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 training clips of seed 7, written by two processes. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("synthetic") / "train"
    generate(folder, clips=CLIPS, seed=SEED, workers=2)
    return folder


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nine test sets with 3 short clips each. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("synthetic") / "benchmark"
    write_unibench(folder, clips_per_set=3, seed=5, workers=2, difficulty=Difficulty(seconds=(1.0, 1.2)))
    return folder
