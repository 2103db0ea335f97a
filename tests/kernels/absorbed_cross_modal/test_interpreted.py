"""The Triton backend in Triton's interpreter. `test_triton.py` runs this file in a process of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
import torch

if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs TRITON_INTERPRET=1 from the start; test_triton.py runs it so", allow_module_level=True)

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import triton as launching
from affectgpt.kernels.absorbed_cross_modal.ops import attend
from tests.kernels.absorbed_cross_modal.cases import CASES, QUICK, Case, close, make, run

SMALL: dict[str, Any] = {"lengths": (70, 5), "widths": (20, None)}


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory full of NaN shows every element that a kernel forgets."""
    empty = torch.Tensor.new_empty

    def fill(self: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        tensor = empty(self, *shape, **options)
        return tensor.fill_(float("nan")) if tensor.dtype.is_floating_point else tensor

    monkeypatch.setattr(torch.Tensor, "new_empty", fill)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("impl", ["absorbed", "folded"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=pytest.mark.slow if index >= QUICK else ())
        for index, (name, options) in enumerate(CASES.items())
    ],
)
def test_equals_float64(options: dict[str, Any], impl: str) -> None:
    close(make(**options), impl)


@pytest.mark.parametrize("impl", ["project", "folded_project"])
@pytest.mark.parametrize("padding", ["masks", pytest.param("lengths", marks=pytest.mark.slow)])
def test_the_projecting_routes_equal_float64(impl: str, padding: str) -> None:
    close(make(**SMALL, padding=padding, offsets="both"), impl)


def closed_gate() -> Case:
    """Head 0 does not see modality 0."""
    case = make(**SMALL, padding="none")
    assert case.gates is not None
    gates = case.gates.clone()
    gates[0, 0] = float("-inf")
    return replace(case, gates=gates)


def test_a_gate_of_minus_infinity_closes_a_modality() -> None:
    close(closed_gate(), "absorbed")
    mass = run(closed_gate(), impl="absorbed", backend="triton")["mass"]
    assert mass[:, 0, :, 0].eq(0).all() and mass[:, 0, :, 1].sub(1).abs().max() < 1e-6


@pytest.mark.parametrize("padding", ["masks", "lengths"])
def test_a_clip_with_nothing_gets_zeros_and_gives_no_gradient(padding: str) -> None:
    results = run(make(**SMALL, padding=padding), impl="absorbed", backend="triton")
    assert results["out"][0].eq(0).all() and results["mass"][0].eq(0).all() and results["out"][1].any()
    assert all(results[f"tokens[{m}]"][0].eq(0).all() for m in (0, 1))


def test_no_tokens_at_all_give_zeros_and_zero_gradients() -> None:
    results = run(make(lengths=(0, 0), padding="none"), impl="absorbed", backend="triton")
    assert results.keys() >= {"out", "mass", "queries"}
    assert all(result.eq(0).all() for result in results.values())


def test_two_backwards_agree_to_the_bit() -> None:
    first, second = (run(make(**SMALL, offsets="both"), impl="absorbed", backend="triton") for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_inputs_are_left_alone() -> None:
    case = make(**SMALL)
    before = {name: leaf.clone() for name, leaf in case.leaves().items()}
    run(case, impl="folded", backend="triton")
    assert all(torch.equal(before[name], leaf) for name, leaf in case.leaves().items())


@pytest.mark.parametrize("trained", ["queries", "tokens"])
def test_gradients_that_nobody_needs_are_not_computed(trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    for name in ("scores_gradient_kernel", "tokens_gradient_kernel", "context_kernel"):
        kernel = getattr(launching, name)

        class Counted:
            def __init__(self, name: str, kernel: Any) -> None:
                self.name, self.kernel = name, kernel

            def __getitem__(self, grid: Any) -> Any:
                launched.append(self.name)
                return self.kernel[grid]

        monkeypatch.setattr(launching, name, Counted(name, kernel))
    case = make(**SMALL)
    leaf = (case.queries if trained == "queries" else case.tokens[0]).requires_grad_()
    out, _ = absorbed_cross_modal_attention(
        case.queries, case.tokens, case.weights, num_heads=2, impl="absorbed", backend="triton"
    )
    launched.clear()
    out.sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
    expected = {
        "queries": ["scores_gradient_kernel"] * 2 + ["context_kernel"] * 2,
        "tokens": ["scores_gradient_kernel", "tokens_gradient_kernel"],
    }
    assert launched == expected[trained]


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["none", "masks", "lengths"])
@pytest.mark.parametrize("offsets", ["none", "rows", "tokens"])
def test_opcheck(padding: str, offsets: str) -> None:
    case = make(lengths=(7, 3), widths=(5, 16), padding=padding)
    rows = [torch.randn(1, 6, x.shape[2]).requires_grad_() for x in case.tokens]
    tokens = [x.nan_to_num().requires_grad_() for x in case.tokens]
    scores, positions = [], []
    if offsets != "none":
        sizes = [1 if offsets == "rows" else x.shape[1] for x in tokens]
        scores = [torch.randn(1, 6, size).requires_grad_() for size in sizes]
    if offsets == "tokens":
        positions = [torch.randn(7, 4).requires_grad_(), torch.empty(0)]
    gates = torch.randn(2, 2).requires_grad_() if padding == "none" else None
    torch.library.opcheck(
        attend, (rows, tokens, scores, positions, list(case.masks or []), list(case.lengths or []), gates)
    )


@pytest.mark.parametrize(
    "training", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["evaluation", "training"]
)
def test_compiles_without_a_break(training: bool) -> None:
    case = make(**SMALL, padding="lengths")

    def both(queries: torch.Tensor) -> torch.Tensor:
        out, mass = absorbed_cross_modal_attention(
            queries, case.tokens, case.weights, num_heads=2, lengths=case.lengths, gates=case.gates, backend="triton"
        )
        return out.sum() + (mass * mass).sum()

    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    eager_queries, compiled_queries = (case.queries.clone().requires_grad_(training) for _ in range(2))
    torch.testing.assert_close(compiled(compiled_queries), both(eager_queries))
    if training:
        both(eager_queries).backward()
        compiled(compiled_queries).backward()
        torch.testing.assert_close(eager_queries.grad, compiled_queries.grad)


def test_autocast_chooses_the_dtype() -> None:
    case = make(**SMALL)
    with torch.autocast("cpu", dtype=torch.float16):
        results = run(case, impl="absorbed", backend="triton")
    assert results["out"].dtype == torch.float16 and results["mass"].dtype == torch.float32
    exact = run(case.mapped(torch.Tensor.double), reference=True)
    assert (results["out"].double() - exact["out"]).abs().max() < 0.03
    assert results["tokens[0]"].dtype == torch.float32


def test_bfloat16_is_refused_in_the_interpreter() -> None:
    with pytest.raises(RuntimeError, match="bfloat16"):
        run(make(**SMALL, dtype=torch.bfloat16), backend="triton")
