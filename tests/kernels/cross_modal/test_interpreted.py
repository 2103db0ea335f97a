"""The Triton kernels in Triton's interpreter. `test_triton.py` runs this file in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from affectgpt.kernels import cross_modal_attention

if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs TRITON_INTERPRET=1 from the start; test_triton.py runs it so", allow_module_level=True)

from affectgpt.kernels.cross_modal import ops
from affectgpt.kernels.cross_modal import triton as launching
from affectgpt.kernels.cross_modal.blocks import Block
from affectgpt.kernels.cross_modal.compiled import Launch
from tests.kernels.cross_modal.cases import CASES, close, make, run

# Splits, block of rows and block of tokens as launched; then the case.
SPLIT = {
    "three blocks in every split and modality": (3, 16, 16, {"lengths": (150, 145), "kv_heads": 4}),
    "holes of whole blocks, half precision": (3, 16, 16, {"lengths": (150, 145), "dtype": torch.float16}),
    "lengths": (3, 16, 16, {"lengths": (150, 20), "counted": True}),
    "no mask, a query per row": (3, 16, 16, {"lengths": (150, 0, 17), "masked": False, "shared": False}),
    "more splits than blocks": (5, 16, 16, {"lengths": (5, 33)}),
    "closed gates": (3, 16, 16, {"lengths": (33, 20), "closed": True}),
    "64 rows, one read": (2, 64, 32, {"lengths": (200, 33), "queries": 20, "heads": 2, "kv_heads": 1}),
    "two blocks of 64 rows": (2, 64, 64, {"lengths": (70, 65), "queries": 40, "heads": 2, "kv_heads": 1}),
    "odd width": (2, 16, 32, {"lengths": (70, 9), "width": 20, "counted": True}),
}
SPLIT_LARGE = {
    "two modalities": (3, 16, 64, {"lengths": (900, 570), "width": 64, "heads": 2, "kv_heads": 2, "queries": 16}),
    "lengths, 64 rows": (3, 64, 64, {"lengths": (900, 570), "width": 128, "heads": 2, "queries": 33, "counted": True}),
    "three modalities, width 48": (2, 16, 32, {"lengths": (300, 200, 64), "width": 48, "shared": False}),
    "half precision": (3, 64, 64, {"lengths": (600, 570), "width": 64, "queries": 40, "dtype": torch.float16}),
}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory full of NaN shows every element that a kernel forgets, in results and in partial results."""
    empty = torch.Tensor.new_empty

    def filled(self: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        tensor = empty(self, *shape, **options)
        return tensor.fill_(float("nan") if tensor.dtype.is_floating_point else -1)

    monkeypatch.setattr(torch.Tensor, "new_empty", filled)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The kernels' names and arguments, in order."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    call = Launch.__call__

    def record(self: Launch, read: Any, *arguments: Any) -> None:
        calls.append((self.kernel.__name__, arguments))
        call(self, read, *arguments)

    monkeypatch.setattr(Launch, "__call__", record)
    yield calls


def force(monkeypatch: pytest.MonkeyPatch, splits: int, rows: int, tokens: int) -> None:
    """Launch with this many splits and these blocks, whatever the shapes."""
    launching._PLANS.clear()
    monkeypatch.setattr(launching, "splits_for", lambda programs, length, processors: splits)
    monkeypatch.setattr(launching, "block", lambda table, height, width, itemsize: Block(rows, tokens, 4, 3))


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    launching._PLANS.clear()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(case, id=name, marks=pytest.mark.slow if name == "100 queries" else ())
        for name, case in CASES.items()
    ],
)
def test_equals_the_reference(options: dict[str, Any]) -> None:
    close(make(**options), "triton")


@pytest.mark.parametrize(
    ("splits", "rows", "tokens", "options"),
    [
        *(pytest.param(*case, id=name) for name, case in SPLIT.items()),
        *(pytest.param(*case, id=f"large, {name}", marks=pytest.mark.slow) for name, case in SPLIT_LARGE.items()),
    ],
)
def test_splits_equal_the_reference(
    splits: int, rows: int, tokens: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, splits, rows, tokens)
    close(make(**options), "triton")


def test_two_backwards_agree_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, 3, 16, 16)
    case = make(lengths=(70, 33))
    for first, second in zip(run(case, "triton"), run(case, "triton"), strict=True):
        assert torch.equal(first, second)


def test_the_operator_and_the_direct_way_agree_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make()
    direct = run(case, "triton")
    monkeypatch.setattr(ops, "is_traced", lambda tensors: True)
    for first, second in zip(direct, run(case, "triton"), strict=True):
        assert torch.equal(first, second)


def test_inputs_are_left_alone() -> None:
    case = make(masked=False)
    before = [leaf.clone() for leaf in case.leaves()]
    run(case, "triton")
    for old, new in zip(before, case.leaves(), strict=True):
        assert torch.equal(old, new)


def test_a_mask_counts_as_it_is_now() -> None:
    """Nothing that was worked out for a mask, or for the tokens it belonged to, outlives it."""
    case = make(masked=False, lengths=(70, 9))
    mask = torch.rand(2, 70) > 0.5
    cross_modal_attention(case.queries, case.keys, case.values, masks=[mask, None], impl="triton")
    values = [case.values[0] + 1, case.values[1]]
    for change in (lambda: mask.logical_not_(), lambda: mask.fill_(False), lambda: mask.fill_(True)):
        change()
        for masks in ([mask, None], [mask.clone(), None]):
            results = [
                cross_modal_attention(case.queries, case.keys, values, masks=masks, impl=impl)
                for impl in ("triton", "reference")
            ]
            torch.testing.assert_close(results[0], results[1])


def test_masks_are_packed_as_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [torch.rand(3, length) > 0.5 for length in (1, 63, 64, 65, 0, 1100)]
    masks[1][0], masks[3][1], masks[5][2, 70:] = False, True, False
    wide = torch.rand(130, 3) > 0.5
    for mask, packed in zip([*masks, wide.T], launching.pack([*masks, wide.T]), strict=True):
        bits = (packed[:, 1:, None] >> torch.arange(64)) & 1
        assert torch.equal(bits.flatten(1)[:, : mask.shape[1]].bool(), mask)
        assert not bits.flatten(1)[:, mask.shape[1] :].any()
        last = [max([0, *(index + 1 for index, valid in enumerate(row) if valid)]) for row in mask.tolist()]
        assert packed[:, 0].tolist() == last


@pytest.mark.parametrize("queries", [3, 40])
def test_gradients_nobody_needs_are_not_computed(queries: int, launched: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Rows that fit one block, and rows that do not."""
    case = make(masked=False, lengths=(5, 3), queries=queries)
    for wanted in ([0], [2], [3], [5]):
        leaves = [leaf.clone().requires_grad_(index in wanted) for index, leaf in enumerate(case.leaves())]
        launched.clear()
        out, _ = cross_modal_attention(leaves[0], leaves[1:3], leaves[3:5], biases=leaves[5], impl="triton")
        out.sum().backward()
        assert all((leaf.grad is not None) == (index in wanted) for index, leaf in enumerate(leaves))
        names = [name for name, _ in launched]
        if queries == 3:
            assert names == ["split_kernel", "backward_kernel"]
            of_queries, of_gates, of_keys, of_values = launched[1][1][11:15]
            computed = [of_queries, *of_keys, *of_values, of_gates]
            assert [index for index, each in enumerate(computed) if each is not None] == wanted
        else:
            kernel = "queries_kernel" if wanted[0] in (0, 5) else "tokens_kernel"
            assert names == ["split_kernel", kernel]


def test_no_gradient_saves_nothing(launched: list[tuple[str, tuple[Any, ...]]]) -> None:
    case = make(masked=False)
    with torch.no_grad():
        out, mass = cross_modal_attention(case.queries.requires_grad_(), case.keys, case.values, impl="triton")
    assert not out.requires_grad and not mass.requires_grad
    assert [name for name, _ in launched] == ["split_kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("limits", ["none", "lengths", "words"])
def test_opcheck(limits: str) -> None:
    case = make(masked=False)
    masks = [torch.ones(2, key.shape[2], dtype=torch.bool) for key in case.keys]
    leaves = [leaf.clone().requires_grad_() for leaf in case.leaves()]
    chosen = {"none": [], "lengths": [torch.ones(2, dtype=torch.int64)] * 3, "words": launching.pack(masks)}[limits]
    torch.library.opcheck(ops._forward, (leaves[0], leaves[1:4], leaves[4:7], chosen, leaves[7], 0.25))
    torch.library.opcheck(ops._pack, (masks,))


def test_compiles_without_a_break() -> None:
    case = make()

    def both(queries: torch.Tensor) -> torch.Tensor:
        out, mass = cross_modal_attention(queries, case.keys, case.values, masks=case.masks, impl="triton")
        return out.sum() + (mass * mass).sum()

    whole = torch.compile(both, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(whole(case.queries), both(case.queries))
    eager = case.queries.clone().requires_grad_()
    compiled = case.queries.clone().requires_grad_()
    both(eager).backward()
    whole(compiled).backward()
    torch.testing.assert_close(eager.grad, compiled.grad)


def test_double_backward_is_refused() -> None:
    case = make(masked=False)
    queries = case.queries.clone().requires_grad_()
    out, _ = cross_modal_attention(queries, case.keys, case.values, impl="triton")
    (gradient,) = torch.autograd.grad(out.square().sum(), queries, create_graph=True)
    with pytest.raises(RuntimeError):
        gradient.sum().backward()


def test_plans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "PLANS", 4)
    for length in range(1, 8):
        case = make(lengths=(length,), masked=False)
        cross_modal_attention(case.queries, case.keys, case.values, impl="triton")
        assert len(launching._PLANS) <= 4


def test_bfloat16_is_refused_in_the_interpreter() -> None:
    case = make(dtype=torch.bfloat16, masked=False)
    with pytest.raises(RuntimeError, match="bfloat16"):
        cross_modal_attention(case.queries, case.keys, case.values, impl="triton")
