"""Launching the Triton kernels: block sizes, strides, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from affectgpt.kernels.cross_modal.backward import queries_kernel, tokens_kernel
from affectgpt.kernels.cross_modal.forward import forward_kernel


def power_of_two(number: int) -> int:
    """The least power of two that is not below `number`."""
    return 1 << max(0, number - 1).bit_length()


def blocks(rows: int, width: int, itemsize: int) -> dict[str, int]:
    """Block sizes for `rows` query rows per key head of `width` values of `itemsize` bytes, and how to compile them.

    What keeps within 64 KB of shared memory (an AMD gfx942 has no more) and spills next to no registers: float32 is
    multiplied without tensor cores, which takes many of them.
    """
    wide = max(16, power_of_two(width))
    if itemsize == 4:
        most, tokens, warps, stages = 16, 32 if wide <= 64 else 16, 4, 1
    else:
        most = tokens = 64 if wide <= 64 else 32 if wide <= 128 else 16
        warps, stages = 8 if wide == 128 else 4, 2
    return {
        "BLOCK_M": min(most, max(16, power_of_two(rows))),
        "BLOCK_N": tokens,
        "BLOCK_D": wide,
        "num_warps": warps,
        "num_stages": stages,
    }


def launch_forward(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`out [B, H, Q, d]`, `mass [B, H, Q, M]` float32, the log-sum-exp `[B, H, Q]` float32 (+inf: empty row)."""
    batch, (heads, count, width) = keys[0].shape[0], queries.shape[1:]
    out = queries.new_empty(batch, heads, count, width)
    mass = queries.new_empty(batch, heads, count, len(keys), dtype=torch.float32)
    lse = queries.new_empty(batch, heads, count, dtype=torch.float32)
    if out.numel() == 0:
        return out, mass, lse
    sizes, grid = _sizes(queries, keys)
    with _on(queries):
        forward_kernel[grid](
            queries,
            tuple(keys),
            tuple(values),
            _pointers(keys, masks),
            biases,
            out,
            mass,
            lse,
            scale,
            *_strides(queries, keys, values, masks, biases),
            **sizes,
        )
    return out, mass, lse


def launch_backward(
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
    """Gradients of queries, biases, all keys, all values, in this order; an empty tensor for one not `needed`."""
    count = len(keys)
    shaped = [queries, queries if biases is None else biases, *keys, *values]
    gradients = [
        each.new_zeros(each.shape) if wanted else each.new_empty(0) for each, wanted in zip(shaped, needed, strict=True)
    ]
    if out.numel() == 0:
        return gradients
    grad_out, grad_mass = grad_out.contiguous(), grad_mass.contiguous()
    delta = (grad_out.float() * out.float()).sum(dim=-1) + (grad_mass * mass).sum(dim=-1)
    sizes, grid = _sizes(queries, keys)
    strides = _strides(queries, keys, values, masks, biases)
    pointers = _pointers(keys, masks)
    if needed[0] or needed[1]:
        of_queries = out.new_empty(out.shape, dtype=torch.float32)
        of_gates = mass.new_empty(mass.shape)
        with _on(queries):
            queries_kernel[grid](
                queries,
                tuple(keys),
                tuple(values),
                pointers,
                biases,
                grad_out,
                grad_mass,
                delta,
                lse,
                of_queries,
                of_gates,
                scale,
                *strides,
                **sizes,
            )
        if needed[0]:
            shared = queries.shape[0] == 1
            gradients[0] = (of_queries.sum(dim=0, keepdim=True) if shared else of_queries).to(queries.dtype)
        if needed[1] and biases is not None:
            gradients[1] = of_gates.sum(dim=(0, 2)).to(biases.dtype)
    for index in range(count):
        of_key, of_value = needed[2 + index], needed[2 + count + index]
        length = keys[index].shape[2]
        if length and (of_key or of_value):
            sizes_here = {name: value for name, value in sizes.items() if name != "M_PAD"}
            with _on(queries):
                tokens_kernel[(grid[0], -(-length // sizes["BLOCK_N"]))](
                    queries,
                    keys[index],
                    values[index],
                    pointers[index],
                    biases,
                    grad_out,
                    grad_mass,
                    delta,
                    lse,
                    gradients[2 + index] if of_key else None,
                    gradients[2 + count + index] if of_value else None,
                    scale,
                    *strides[:4],
                    *keys[index].stride(),
                    *values[index].stride(),
                    *(masks[index].stride() if pointers[index] is not None else (0, 0)),
                    *(biases.stride() if biases is not None else (0, 0)),
                    length,
                    INDEX=index,
                    **sizes_here,
                )
    return gradients


def _on(queries: Tensor) -> Any:
    return torch.cuda.device_of(queries)


def _sizes(queries: Tensor, keys: Sequence[Tensor]) -> tuple[dict[str, int], tuple[int, int]]:
    batch, kv_heads = keys[0].shape[:2]
    heads, count, width = queries.shape[1:]
    rows = heads // kv_heads * count
    sizes = {
        "QUERIES": count,
        "WIDTH": width,
        "GROUPS": heads // kv_heads,
        "KV_HEADS": kv_heads,
        "M": len(keys),
        "M_PAD": power_of_two(len(keys)),
        **blocks(rows, width, queries.element_size()),
    }
    # The first axis of a grid may be as long as 2^31, the others 65,535.
    return sizes, (batch * kv_heads, -(-rows // sizes["BLOCK_M"]))


def _pointers(keys: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """One mask or None per modality; an empty tensor stands for None where there are tokens."""
    if not masks:
        return (None,) * len(keys)
    return tuple(mask if mask.numel() else None for mask in masks)


def _strides(
    queries: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], masks: Sequence[Tensor], biases: Tensor | None
) -> tuple[Any, ...]:
    shared = queries.shape[0] == 1
    of_queries = (0 if shared else queries.stride(0), *queries.stride()[1:])
    of_masks = tuple(mask.stride() if mask.ndim == 2 else (0, 0) for mask in masks) or ((0, 0),) * len(keys)
    return (
        *of_queries,
        tuple(key.stride() for key in keys),
        tuple(value.stride() for value in values),
        of_masks,
        *(biases.stride() if biases is not None else (0, 0)),
        tuple(key.shape[2] for key in keys),
    )
