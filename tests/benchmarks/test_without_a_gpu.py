"""A benchmark that needs a GPU says so at once where there is none, and writes nothing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("script", "message"), [("train_gpu.py", "there is no CUDA device"), ("kernel_gpu.py", "there is no GPU here")]
)
def test_it_says_so(script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    assert not list(tmp_path.iterdir())
