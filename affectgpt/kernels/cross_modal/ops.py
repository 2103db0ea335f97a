"""The Triton kernels behind autograd: as an operator where PyTorch traces, directly where it does not.

`limits` travels as a list, an empty tensor or list for none: optional lists and default values break the backward's
structure in torch 2.11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@torch.library.custom_op("affectgpt::cross_modal_pack", mutates_args=())
def _pack(masks: Sequence[Tensor]) -> list[Tensor]:
    """[pack][], for masks of tokens."""
    from affectgpt.kernels.cross_modal.triton import pack

    return pack(masks)


@_pack.register_fake
def _(masks):
    return [mask.new_empty((mask.shape[0], 1 + (mask.shape[1] + 63) // 64), dtype=torch.int64) for mask in masks]


@torch.library.custom_op("affectgpt::cross_modal_attention", mutates_args=())
def _forward(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    limits: Sequence[Tensor],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from affectgpt.kernels.cross_modal.triton import launch_forward

    return launch_forward(queries, keys, values, limits, biases, scale)


@_forward.register_fake
def _(queries, keys, values, limits, biases, scale):
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
    limits: Sequence[Tensor],
    biases: Tensor | None,
    out: Tensor,
    mass: Tensor,
    lse: Tensor,
    scale: float,
    needed: Sequence[bool],
) -> list[Tensor]:
    """Gradients of queries, biases, then all keys, then all values; an empty tensor where none is needed."""
    from affectgpt.kernels.cross_modal.triton import launch_backward

    computed = launch_backward(
        grad_out, grad_mass, queries, keys, values, limits, biases, out, mass, lse, scale, needed
    )
    return [queries.new_empty(0) if each is None else each for each in computed]


@_backward.register_fake
def _(grad_out, grad_mass, queries, keys, values, limits, biases, out, mass, lse, scale, needed):
    shaped = [queries, biases if biases is not None else queries, *keys, *values]
    return [
        each.new_empty(each.shape) if wanted else each.new_empty(0) for each, wanted in zip(shaped, needed, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, keys, values, limits, biases, scale = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.count, ctx.masked, ctx.scale = len(keys), len(limits), scale
    gates = [] if biases is None else [biases]
    ctx.save_for_backward(*output, queries, *keys, *values, *limits, *gates)


def _gradient(ctx: Any, grad_out: Tensor, grad_mass: Tensor, _: Tensor) -> tuple[Any, ...]:
    out, mass, lse, queries, *inputs = ctx.saved_tensors
    keys, values = inputs[: ctx.count], inputs[ctx.count : 2 * ctx.count]
    limits = inputs[2 * ctx.count : 2 * ctx.count + ctx.masked]
    gates = inputs[2 * ctx.count + ctx.masked :]
    biases = gates[0] if gates else None
    wants = ctx.needs_input_grad
    needed = [wants[0], wants[4], *wants[1], *wants[2]]
    computed = _backward(grad_out, grad_mass, queries, keys, values, limits, biases, out, mass, lse, ctx.scale, needed)
    gradients = [each if wanted else None for each, wanted in zip(computed, needed, strict=True)]
    of_keys, of_values = gradients[2 : 2 + ctx.count], gradients[2 + ctx.count :]
    return gradients[0], of_keys, of_values, [None] * ctx.masked, gradients[1], None


_forward.register_autograd(_gradient, setup_context=_setup)


class _Direct(torch.autograd.Function):
    """The operator without its dispatch, which costs the host more than the kernels of a short input."""

    @staticmethod
    def forward(
        ctx: Any,
        scale: float,
        count: int,
        limits: list[Tensor],
        biases: Tensor | None,
        queries: Tensor,
        *tokens: Tensor,
    ) -> tuple[Tensor, Tensor]:
        from affectgpt.kernels.cross_modal.triton import launch_forward

        out, mass, lse = launch_forward(queries, tokens[:count], tokens[count:], limits, biases, scale)
        ctx.scale, ctx.count, ctx.masked = scale, count, len(limits)
        ctx.save_for_backward(out, mass, lse, biases, *limits, queries, *tokens)
        return out, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, grad_mass: Tensor) -> tuple[Tensor | None, ...]:
        from affectgpt.kernels.cross_modal.triton import launch_backward

        out, mass, lse, biases, *inputs = ctx.saved_tensors
        limits, queries, tokens = inputs[: ctx.masked], inputs[ctx.masked], inputs[ctx.masked + 1 :]
        keys, values = tokens[: ctx.count], tokens[ctx.count :]
        _, _, _, of_biases, of_queries, *of_tokens = ctx.needs_input_grad
        needed = (of_queries, of_biases, *of_tokens)
        d_queries, d_biases, *d_tokens = launch_backward(
            grad_out, grad_mass, queries, keys, values, limits, biases, out, mass, lse, ctx.scale, needed
        )
        return None, None, None, d_biases, d_queries, *d_tokens


def is_traced(tensors: Sequence[Tensor]) -> bool:
    """Whether something has to see an operator: a trace, a transform, a mode, or a tensor of a class of its own."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
        or torch.autograd.forward_ad._current_level >= 0
        or any(type(each) is not Tensor and type(each) is not torch.nn.Parameter for each in tensors)
        or tensors[0].is_meta
    )


def fused(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The Triton implementation; shapes and results as the operator's."""
    tensors = [queries, *keys, *values] if biases is None else [queries, *keys, *values, biases]
    if is_traced(tensors):
        limits = _limits(queries, len(keys), masks, lengths, _pack)
        out, mass, _ = _forward(queries, list(keys), list(values), limits, biases, scale)
        return out, mass
    from affectgpt.kernels.cross_modal.triton import launch_forward, pack

    limits = _limits(queries, len(keys), masks, lengths, pack)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        out, mass = _Direct.apply(scale, len(keys), limits, biases, queries, *keys, *values)
    else:
        out, mass, _ = launch_forward(queries, keys, values, limits, biases, scale)
    return out, mass


def _limits(
    queries: Tensor,
    count: int,
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
    pack: Callable[[list[Tensor]], list[Tensor]],
) -> list[Tensor]:
    """Words, lengths or an empty tensor per modality; nothing at all when none has a mask or lengths."""
    bits = [mask for mask in masks or () if mask is not None]
    if not bits and not any(length is not None for length in lengths or ()):
        return []
    packed = iter(pack(bits) if bits else ())
    limits: list[Tensor] = []
    for index in range(count):
        limit = lengths[index] if lengths is not None else None
        if masks is not None and masks[index] is not None:
            limit = next(packed)
        limits.append(queries.new_empty(0) if limit is None else limit)
    return limits
