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


def test_in_the_interpreter() -> None:
    cases = str(HERE / "test_interpreted.py")
    done = fresh("-m", "pytest", "-v", "-p", "no:cacheprovider", cases, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout


def test_compiles_for_gpus_that_are_not_here(tmp_path: Path) -> None:
    done = fresh(str(HERE / "ahead_of_time.py"), TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(made) == 3 * 3 * 3
    for each in made:
        assert each["shared"] <= SHARED[each["target"]], each


BLOCKED = """
import sys
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
"""
CALL = """
import torch
from affectgpt.kernels import cross_modal_attention as attend
q, k = torch.randn(1, 2, 3, 16), torch.randn(2, 2, 5, 16)
"""


def test_without_triton() -> None:
    code = f"""{BLOCKED}{CALL}
assert attend(q, [k], [k])[0].shape == (2, 2, 3, 16)
try:
    attend(q, [k], [k], impl="triton")
except RuntimeError as error:
    assert "the package triton is not installed" in str(error), error
else:
    raise SystemExit("not refused")
"""
    done = fresh("-c", code)
    assert done.returncode == 0, done.stderr


def test_without_a_gpu() -> None:
    code = f"""{CALL}
assert attend(q, [k], [k])[1].shape == (2, 2, 3, 1)
try:
    attend(q, [k], [k], impl="triton")
except RuntimeError as error:
    assert "the tensors are on cpu" in str(error), error
else:
    raise SystemExit("not refused")
"""
    done = fresh("-c", code, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr


def test_under_compile() -> None:
    code = f"""{CALL}
def f(q, k):
    out, mass = attend(q, [k, k], [k, k])
    return out.sum() + mass[..., 0].sum()
torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="aot_eager")(q, k), f(q, k))
"""
    done = fresh("-c", code)
    assert done.returncode == 0, done.stderr


def test_importing_costs_no_torch() -> None:
    done = fresh("-c", "import sys, affectgpt.kernels; assert not {'torch', 'triton'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr
