"""The Triton kernels in Triton's interpreter. `test_triton.py` runs this file in a process of its own."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from affectgpt.kernels import cross_modal_attention

if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs TRITON_INTERPRET=1 from the start; test_triton.py runs it so", allow_module_level=True)

from tests.kernels.cross_modal.cases import CASES, close, make, run


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(case, id=name, marks=pytest.mark.slow if name == "100 queries" else ())
        for name, case in CASES.items()
    ],
)
def test_equals_the_reference(options: dict[str, Any]) -> None:
    close(make(**options), "triton")


def test_two_backwards_agree_to_the_bit() -> None:
    case = make()
    for first, second in zip(run(case, "triton"), run(case, "triton"), strict=True):
        assert torch.equal(first, second)


def test_inputs_are_left_alone() -> None:
    case = make(masked=False)
    before = [leaf.clone() for leaf in case.leaves()]
    run(case, "triton")
    for old, new in zip(before, case.leaves(), strict=True):
        assert torch.equal(old, new)


def test_unused_results_are_written_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory full of NaN shows every element that a kernel forgets."""
    empty = torch.Tensor.new_empty

    def poisoned(self: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        tensor = empty(self, *shape, **options)
        return tensor.fill_(float("nan")) if tensor.dtype.is_floating_point else tensor

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned)
    close(make(lengths=(7, 33), width=20), "triton")


def test_gradients_nobody_needs_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgpt.kernels.cross_modal import triton as launching

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the kernel for the tokens' gradients was launched")

    monkeypatch.setattr(launching, "tokens_kernel", type("Refused", (), {"__getitem__": lambda self, grid: refused})())
    case = make(masked=False)
    queries = case.queries.clone().requires_grad_()
    cross_modal_attention(queries, case.keys, case.values, impl="triton")[0].sum().backward()
    assert queries.grad is not None and queries.grad.abs().sum() > 0


@pytest.mark.slow
def test_opcheck() -> None:
    from affectgpt.kernels.cross_modal.ops import _forward

    case = make(masked=False)
    for masks in ([], [torch.ones(2, key.shape[2], dtype=torch.bool) for key in case.keys]):
        leaves = [leaf.clone().requires_grad_() for leaf in case.leaves()]
        torch.library.opcheck(_forward, (leaves[0], leaves[1:4], leaves[4:7], masks, leaves[7], 0.25))


def test_compiles_without_a_break() -> None:
    case = make()

    def both(queries: torch.Tensor) -> torch.Tensor:
        out, mass = cross_modal_attention(queries, case.keys, case.values, masks=case.masks, impl="triton")
        return out.sum() + (mass * mass).sum()

    eager = case.queries.clone().requires_grad_()
    compiled = case.queries.clone().requires_grad_()
    both(eager).backward()
    torch.compile(both, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(eager.grad, compiled.grad)


def test_bfloat16_is_refused_in_the_interpreter() -> None:
    case = make(dtype=torch.bfloat16, masked=False)
    with pytest.raises(RuntimeError, match="bfloat16"):
        cross_modal_attention(case.queries, case.keys, case.values, impl="triton")
