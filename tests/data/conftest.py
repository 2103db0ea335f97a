"""One small synthetic set for all data tests: writing clips is what takes the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgpt.data.synthetic.clips import generate

CLIPS, SEED = 32, 7


@pytest.fixture(scope="session")
def synthetic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 training clips of seed 7, written by two processes. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("synthetic") / "train"
    generate(folder, clips=CLIPS, seed=SEED, workers=2)
    return folder
