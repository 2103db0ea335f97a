"""Every route gives what the reference gives, with and without masks, and gradients that finite differences confirm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import Fold, FusionWeights
from affectgpt.kernels.absorbed_cross_modal.cost import ROUTES
from affectgpt.kernels.absorbed_cross_modal.reference import reference

IMPLS = ("auto", *ROUTES)
D, H = 16, 4


def make(
    lengths: tuple[int, ...] = (5, 7),
    *,
    batch: int = 3,
    query_batch: int = 1,
    queries: int = 3,
    bare: bool = False,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> dict[str, Any]:
    """Arguments of a call; the last modality is as wide as the queries and has no input projection."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    count = len(lengths)
    widths = [12 + m for m in range(count - 1)] + [D]
    weights = FusionWeights(
        inputs=(*(draw(D, w) / w**0.5 for w in widths[:-1]), None),
        query=draw(D, D) / 2,
        key=draw(D, D) / 2,
        value=draw(D, D) / 4,
        out=draw(10, D) / 4,
    )
    if not bare:
        weights = weights._replace(
            input_biases=(*(draw(D) for _ in widths[:-1]), None),
            positions=tuple(draw(n, D) for n in lengths),
            query_bias=draw(D),
            key_bias=draw(D),
            value_bias=draw(D),
            out_bias=draw(10),
        )
    return {
        "queries": draw(query_batch, queries, D),
        "tokens": [draw(batch, n, w) for n, w in zip(lengths, widths, strict=True)],
        "weights": weights,
        "num_heads": H,
        "gates": None if bare else draw(H, count),
    }


def close(actual: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], tolerance: float = 3e-6) -> None:
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("query_batch", [1, 3])
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("lengths", [(5, 7), (0, 4), (1, 63), (3, 0, 100), (6,)])
def test_a_route_equals_the_reference(impl: str, query_batch: int, bare: bool, lengths: tuple[int, ...]) -> None:
    call = make(lengths, query_batch=query_batch, bare=bare)
    close(absorbed_cross_modal_attention(**call, impl=impl), reference(**call))
    close(absorbed_cross_modal_attention(**call, impl=impl, cache=Fold()), reference(**call))


@pytest.mark.parametrize("impl", IMPLS)
def test_masks_leave_tokens_out_and_an_empty_row_is_zero(impl: str) -> None:
    call = make()
    masks = [torch.rand(3, 5) > 0.4, torch.rand(3, 7) > 0.4]
    for mask in masks:
        mask[0], mask[2] = True, False
    for given_masks in (masks, [masks[0], None], [None, masks[1]]):
        call["masks"] = given_masks
        close(absorbed_cross_modal_attention(**call, impl=impl), reference(**call))
    call["masks"] = masks
    out, mass = absorbed_cross_modal_attention(**call, impl=impl)
    assert out[2].eq(0).all() and mass[2].eq(0).all()
    torch.testing.assert_close(mass[:2].sum(-1), torch.ones(2, H, 3))


@pytest.mark.parametrize("impl", IMPLS)
def test_lengths_are_masks_past_which_nothing_is_read(impl: str) -> None:
    call = make()
    lengths = [torch.tensor([5, 0, 2]), torch.tensor([0, 0, 7])]
    masks = [torch.arange(x.shape[1]) < n[:, None] for x, n in zip(call["tokens"], lengths, strict=True)]
    expected = reference(**call, masks=masks)
    for x, mask in zip(call["tokens"], masks, strict=True):
        x.masked_fill_(~mask[..., None], float("nan"))
    result = absorbed_cross_modal_attention(**call, lengths=lengths, impl=impl)
    close(result, expected)
    assert result[0][1].eq(0).all() and result[1][1].eq(0).all()


@pytest.mark.parametrize("impl", IMPLS)
def test_no_tokens_at_all_give_zeros_and_zero_gradients(impl: str) -> None:
    call = make((0, 0))
    call["weights"].value.requires_grad_()
    call["queries"].requires_grad_()
    out, mass = absorbed_cross_modal_attention(**call, impl=impl)
    assert out.shape == (3, 3, 10) and mass.shape == (3, H, 3, 2) and out.eq(0).all() and mass.eq(0).all()
    (out.sum() + mass.sum()).backward()
    assert call["queries"].grad.eq(0).all() and call["weights"].value.grad.eq(0).all()


@pytest.mark.parametrize("impl", ROUTES)
@pytest.mark.parametrize("query_batch", [1, 2])
def test_gradients_are_those_of_finite_differences(impl: str, query_batch: int) -> None:
    call = make((2, 3), batch=2, query_batch=query_batch, queries=2, dtype=torch.float64)
    masks = [torch.tensor([[True, False], [False, False]]), torch.tensor([[True, True, False], [False] * 3])]
    names = list(call["weights"]._fields)
    flat, spec = torch.utils._pytree.tree_flatten(tuple(call["weights"]))
    leaves = [t for t in (call["queries"], *call["tokens"], call["gates"], *flat) if isinstance(t, Tensor)]

    def run(queries: Tensor, first: Tensor, second: Tensor, gates: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        given_tensors = iter(rest)
        filled = [next(given_tensors) if isinstance(t, Tensor) else t for t in flat]
        weights = FusionWeights(**dict(zip(names, torch.utils._pytree.tree_unflatten(filled, spec), strict=True)))
        return absorbed_cross_modal_attention(
            queries, [first, second], weights, num_heads=H, masks=masks, gates=gates, impl=impl
        )

    assert torch.autograd.gradcheck(run, [t.requires_grad_() for t in leaves], fast_mode=True)


@pytest.mark.parametrize("impl", ROUTES)
def test_frozen_tokens_get_no_gradient_and_every_weight_gets_one(impl: str) -> None:
    call = make()
    for _, tensor in call["weights"].tensors():
        tensor.requires_grad_()
    call["gates"].requires_grad_()
    absorbed_cross_modal_attention(**call, impl=impl)[0].square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for _, tensor in call["weights"].tensors())
    assert call["gates"].grad.abs().sum() > 0 and all(x.grad is None for x in call["tokens"])


@pytest.mark.parametrize("impl", ROUTES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_dtypes_stay_near_float32(impl: str, dtype: torch.dtype) -> None:
    call = make((5, 63))
    exact = reference(**call)
    half = {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in call.items()}
    half["tokens"] = [x.to(dtype) for x in call["tokens"]]
    halved = torch.utils._pytree.tree_map_only(Tensor, lambda t: t.to(dtype), tuple(call["weights"]))
    half["weights"] = FusionWeights(*halved)
    tolerance = 0.25 if dtype == torch.bfloat16 else 0.03
    out, mass = absorbed_cross_modal_attention(**half, impl=impl)
    assert out.dtype == dtype and mass.dtype == torch.float32
    close((out.float(), mass), exact, tolerance)
    with torch.autocast("cpu", dtype=dtype):
        out, mass = absorbed_cross_modal_attention(**call, impl=impl, cache=Fold())
    close((out.float(), mass), exact, tolerance)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from(ROUTES), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_masked_tokens_and_the_order_of_modalities_change_nothing(seed: int, impl: str, lengths: list[int]) -> None:
    call = make(tuple(lengths), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(3, n, generator=generator) > 0.5 for n in lengths]
    out, mass = absorbed_cross_modal_attention(**call, masks=masks, impl=impl)
    garbage = [x.masked_fill(~mask[..., None], 1e3) for x, mask in zip(call["tokens"], masks, strict=True)]
    weights = call["weights"]
    turned = {
        **call,
        "tokens": garbage[::-1],
        "gates": call["gates"].flip(1),
        "weights": weights._replace(
            inputs=weights.inputs[::-1], input_biases=weights.input_biases[::-1], positions=weights.positions[::-1]
        ),
    }
    close(absorbed_cross_modal_attention(**turned, masks=masks[::-1], impl=impl), (out, mass.flip(-1)), 1e-5)
    has_token = torch.cat(masks, 1).any(1).float()
    torch.testing.assert_close(mass.sum(-1), has_token[:, None, None].expand(3, H, 3))


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["absorbed", "folded"])
def test_it_compiles_without_a_break(impl: str) -> None:
    call = make()
    call["weights"].key.requires_grad_()
    compiled = torch.compile(absorbed_cross_modal_attention, fullgraph=True, backend="aot_eager")
    close(compiled(**call, impl=impl, cache=Fold()), reference(**call))
