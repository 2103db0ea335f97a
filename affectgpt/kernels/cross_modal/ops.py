"""The Triton kernels as one `torch.library` operator with its shapes and its gradient.

`masks` and `biases` travel as lists, an empty tensor or list for none: optional lists and default values break the
backward's structure in torch 2.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("affectgpt::cross_modal_attention", mutates_args=())
def _forward(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from affectgpt.kernels.cross_modal.triton import launch_forward

    return launch_forward(queries, keys, values, masks, biases, scale)


@_forward.register_fake
def _(queries, keys, values, masks, biases, scale):
    batch, (heads, count, width) = keys[0].shape[0], queries.shape[1:]
    return (
        queries.new_empty(batch, heads, count, width),
        queries.new_empty(batch, heads, count, len(keys), dtype=torch.float32),
        queries.new_empty(batch, heads, count, dtype=torch.float32),
    )


@torch.library.custom_op("affectgpt::cross_modal_attention_backward", mutates_args=())
def _backward(
    grad_out: Tensor,
    grad_mass: Tensor,
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor],
    biases: Tensor | None,
    out: Tensor,
    mass: Tensor,
    lse: Tensor,
    scale: float,
    needed: Sequence[bool],
) -> list[Tensor]:
    """Gradients of queries, biases, then all keys, then all values; an empty tensor where none is needed."""
    from affectgpt.kernels.cross_modal.triton import launch_backward

    return launch_backward(grad_out, grad_mass, queries, keys, values, masks, biases, out, mass, lse, scale, needed)


@_backward.register_fake
def _(grad_out, grad_mass, queries, keys, values, masks, biases, out, mass, lse, scale, needed):
    shaped = [queries, biases if biases is not None else queries, *keys, *values]
    return [
        each.new_empty(each.shape) if wanted else each.new_empty(0) for each, wanted in zip(shaped, needed, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, keys, values, masks, biases, scale = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.count, ctx.masked, ctx.scale = len(keys), len(masks), scale
    gates = [] if biases is None else [biases]
    ctx.save_for_backward(*output, queries, *keys, *values, *masks, *gates)


def _gradient(ctx: Any, grad_out: Tensor, grad_mass: Tensor, _: Tensor) -> tuple[Any, ...]:
    out, mass, lse, queries, *inputs = ctx.saved_tensors
    keys, values = inputs[: ctx.count], inputs[ctx.count : 2 * ctx.count]
    masks = inputs[2 * ctx.count : 2 * ctx.count + ctx.masked]
    gates = inputs[2 * ctx.count + ctx.masked :]
    wants = ctx.needs_input_grad
    needed = [wants[0], wants[4], *wants[1], *wants[2]]
    computed = _backward(
        grad_out,
        grad_mass,
        queries,
        keys,
        values,
        masks,
        gates[0] if gates else None,
        out,
        mass,
        lse,
        ctx.scale,
        needed,
    )
    gradients = [each if wanted else None for each, wanted in zip(computed, needed, strict=True)]
    return (
        gradients[0],
        gradients[2 : 2 + ctx.count],
        gradients[2 + ctx.count :],
        [None] * ctx.masked,
        gradients[1],
        None,
    )


_forward.register_autograd(_gradient, setup_context=_setup)


def fused(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The Triton implementation; shapes and results as [reference][]."""
    mask_tensors: list[Tensor] = []
    if any(mask is not None for mask in masks):
        mask_tensors = [queries.new_empty(0, dtype=torch.bool) if mask is None else mask for mask in masks]
    out, mass, _ = _forward(queries, list(keys), list(values), mask_tensors, biases, scale)
    return out, mass
