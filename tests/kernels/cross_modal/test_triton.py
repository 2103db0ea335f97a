"""The Triton kernels, each kind of run in a process of its own: the interpreter and the compiler do not mix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SHARED = {"cuda:80": 163 * 1024, "cuda:90": 227 * 1024, "hip:gfx942": 64 * 1024}


def fresh(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRITON")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=600
    )


@pytest.fixture(scope="module", autouse=True)
def needs_triton() -> None:
    pytest.importorskip("triton")


@pytest.mark.parametrize("marked", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_in_the_interpreter(marked: str) -> None:
    cases = str(HERE / "test_interpreted.py")
    process = fresh("-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", marked, cases, TRITON_INTERPRET="1")
    assert process.returncode == 0, process.stdout[-4000:]
    assert "passed" in process.stdout and "skipped" not in process.stdout


# A target, or all; a shape, or all; the number of kernels compiled.
@pytest.mark.parametrize(
    ("only", "count"),
    [
        pytest.param(["cuda:90", "16x64xfp16"], 3, id="one shape for an H100"),
        pytest.param([], 3 * 4 * 3, id="all", marks=pytest.mark.slow),
    ],
)
def test_compiles_for_gpus_that_are_not_here(only: list[str], count: int, tmp_path: Path) -> None:
    process = fresh(str(HERE / "ahead_of_time.py"), *only, TRITON_CACHE_DIR=str(tmp_path))
    assert process.returncode == 0, process.stderr[-4000:]
    kernels = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(kernels) == count
    for kernel in kernels:
        assert kernel["shared"] <= SHARED[kernel["target"]], kernel
        # 256 wide in float32 keeps a few values on the stack; a loop that spills takes hundreds of bytes.
        assert kernel["spilled"] is None or kernel["spilled"] <= (64 if kernel["width"] == 256 else 0), kernel
    assert any(kernel["spilled"] is not None for kernel in kernels)
