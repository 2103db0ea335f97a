"""The kernels can be imported and used anywhere: in fresh processes, without a GPU, without Triton, compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USE = """
import torch
from affectgpt.kernels import cross_modal_attention
q, k, v = (torch.randn(1, 2, n, 8) for n in (1, 5, 5))
out, mass = cross_modal_attention(q, [k], [v])
assert torch.allclose(mass, torch.ones(1, 2, 1, 1)) and out.shape == (1, 2, 1, 8)
"""
ABSORBED = """
import torch
from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import FusionWeights
w = FusionWeights((None,), *(torch.randn(8, 8) for _ in range(4)))
out, mass = absorbed_cross_modal_attention(torch.randn(1, 2, 8), [torch.randn(3, 5, 8)], w, num_heads=2)
assert out.shape == (3, 2, 8) and torch.allclose(mass, torch.ones_like(mass))
"""
NO_TRITON = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'triton':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Refused())
import importlib.util
seek = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split('.')[0] == 'triton' else seek(name, *rest)
"""


def run(script: str, **environment: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
    )
    assert process.returncode == 0, process.stderr[-3000:]


def test_importing_the_kernels_imports_neither_torch_nor_triton() -> None:
    run("import sys, affectgpt.kernels\nassert not {'torch', 'triton'} & set(sys.modules)")


def asked_for_triton(reason: str) -> str:
    """Code in which the Triton kernel is asked for and says why it cannot run."""
    lines = USE.splitlines()
    (index,) = (index for index, line in enumerate(lines) if line.startswith("out, mass"))
    before = "\n".join(lines[:index])
    return f"""{before}
try:
    cross_modal_attention(q, [k], [v], impl='triton')
except RuntimeError as error:
    assert {reason!r} in str(error), error
else:
    raise SystemExit('it ran')
"""


def test_without_triton_they_run_and_the_triton_kernel_says_why_it_cannot() -> None:
    run(NO_TRITON + asked_for_triton("the package triton is not installed") + USE + ABSORBED, TRITON_INTERPRET="0")


def test_without_a_gpu_they_run_and_the_triton_kernel_says_why_it_cannot() -> None:
    # A module inside the operator's folder comes first here: the name is the operator all the same.
    first = "import affectgpt.kernels.absorbed_cross_modal.cost\n"
    run(first + ABSORBED + asked_for_triton("the tensors are on cpu") + USE, TRITON_INTERPRET="0")


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", ["affectgpt.kernels.absorbed_cross_modal", "affectgpt.kernels.absorbed_cross_modal.cost"]
)
def test_the_name_is_the_operator_whatever_was_imported_first(first: str) -> None:
    run(f"import {first}\nfrom affectgpt.kernels import absorbed_cross_modal_attention as f\nassert f.__kwdefaults__")


@pytest.mark.slow
@pytest.mark.parametrize("use", [USE, ABSORBED], ids=["fused", "absorbed"])
def test_they_run_under_compile_from_the_first_call(use: str) -> None:
    name = "cross_modal_attention" if use is USE else "absorbed_cross_modal_attention"
    compiled = f"\n{name} = torch.compile({name}, fullgraph=True, backend='aot_eager')\n"
    at = use.index("q, k, v") if use is USE else use.index("w = ")
    run(use[:at] + compiled + use[at:])
