"""Which of PyTorch and the Triton kernels runs; tensors without memory stand for those of a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal.backend import choose_backend
from affectgpt.kernels.absorbed_cross_modal.cost import RATES, ROUTES, Shape, cheapest
from tests.kernels.absorbed_cross_modal.cases import make

ABSORBED, CROSS_MODAL = "affectgpt::absorbed_cross_modal_attention", "affectgpt::cross_modal_attention"
# The default fuser in training: 8 pictures of 257 tokens, 8 windows of 99.
SHAPE = Shape(
    batch=3,
    query_batch=1,
    queries=16,
    heads=16,
    width=1024,
    out=1024,
    tokens=(2056, 792),
    widths=(1024, 1024),
    projected=(True, True),
    positioned=(False, False),
)


class Operators(TorchDispatchMode):
    """The names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("asked", "device", "dtype", "runs"),
    [
        ("auto", "cpu", torch.float32, "torch"),
        ("auto", "cuda", torch.float32, "triton"),
        ("auto", "cuda", torch.bfloat16, "triton"),
        ("auto", "cuda", torch.float16, "triton"),
        ("auto", "cuda", torch.float64, "torch"),
        ("torch", "cuda", torch.bfloat16, "torch"),
        ("triton", "cuda", torch.bfloat16, "triton"),
    ],
)
def test_what_runs(asked: str, device: str, dtype: torch.dtype, runs: str) -> None:
    pytest.importorskip("triton")
    with FakeTensorMode():
        assert choose_backend(asked, torch.empty(1, 2, 8, device=device, dtype=dtype)) == runs


def test_triton_is_refused_in_float64() -> None:
    pytest.importorskip("triton")
    with FakeTensorMode(), pytest.raises(RuntimeError, match=r"cannot run here: the dtype is torch\.float64"):
        choose_backend("triton", torch.empty(1, 2, 8, device="cuda", dtype=torch.float64))


@pytest.mark.parametrize("impl", ROUTES)
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_every_route_runs_a_kernel_on_a_gpu_and_joins_no_tokens(impl: str, backend: str) -> None:
    pytest.importorskip("triton")
    with FakeTensorMode():
        case = make(lengths=(7, 5), widths=(20, None), device="cuda")
        with Operators() as ran:
            absorbed_cross_modal_attention(
                case.queries, case.tokens, case.weights, num_heads=2, gates=case.gates, impl=impl, backend=backend
            )
    kernels = {name for name in ran.names if name.startswith("affectgpt::")}
    if backend == "torch":
        assert not kernels
    else:
        assert kernels == {CROSS_MODAL if "project" in impl else ABSORBED}
        assert "project" not in impl or "aten::cat" not in ran.names


def test_more_queries_than_the_projecting_kernel_takes_leave_the_absorbing_ones() -> None:
    pytest.importorskip("triton")
    with FakeTensorMode():
        case = make(lengths=(1, 1), widths=(20, None), queries=129, device="cuda")
        call = {"num_heads": 2, "gates": case.gates}
        with Operators() as ran:
            absorbed_cross_modal_attention(case.queries, case.tokens, case.weights, **call)
        assert ABSORBED in ran.names
        with pytest.raises(RuntimeError, match="cannot run impl='project': 129 queries"):
            absorbed_cross_modal_attention(
                case.queries, case.tokens, case.weights, **call, impl="project", backend="triton"
            )


def test_the_default_fuser_absorbs_on_either_device() -> None:
    for device in RATES:
        shape = replace(SHAPE, device=device, by_triton=device == "cuda", itemsize=2 if device == "cuda" else 4)
        assert cheapest(replace(shape, training=True, token_gradient=True)) == "absorbed"
        assert cheapest(replace(shape, folded=True, queried=True)) == "folded"
        assert cheapest(replace(shape, folded=True, queried=True), ("project", "folded_project")) == "folded_project"


def test_the_rates_of_the_device_decide() -> None:
    """Rates that make a product dear and its size cheap, and the other way around, choose otherwise."""
    short = replace(SHAPE, tokens=(16, 0), training=True)
    routes = {cheapest(replace(short, tokens=(count, 0), device=device)) for count in (1, 4096) for device in RATES}
    assert len(routes) > 1
