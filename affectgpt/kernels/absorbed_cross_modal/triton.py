"""Launching the Triton kernels: block sizes, grids, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from affectgpt.kernels.absorbed_cross_modal.backward import (
    delta_kernel,
    scores_gradient_kernel,
    tokens_gradient_kernel,
)
from affectgpt.kernels.absorbed_cross_modal.forward import context_kernel, merge_kernel, scores_kernel
from affectgpt.kernels.absorbed_cross_modal.layout import BLOCK_T, Layout, Part, make_layout


def blocks(kernel: str, rows: int, width: int, itemsize: int, amd: bool = False) -> dict[str, Any]:
    """Block sizes of `kernel` (scores, context, scores_gradient or tokens_gradient) and how to compile it.

    For R = `rows`, columns in all `width`, values of `itemsize` bytes. What spills nothing and keeps within the shared
    memory of compute capability 8.0 and 9.0, or with `amd` within the 64 KB of a gfx942.
    """
    if itemsize == 4:  # multiplied without tensor cores, which takes many registers
        most, columns, stages = 32, 32, 2
    else:
        most, columns, stages = 64, 64, 2 if amd else 4 if kernel == "scores" else 3
    # Loads that need a mask and cannot be wide hold many places at once.
    odd = width % columns != 0
    if odd and kernel.endswith("gradient"):
        columns = 32
    return {
        "BLOCK_R": 16 if rows <= 16 else most,
        "BLOCK_T": BLOCK_T,
        "BLOCK_D": columns,
        "WHOLE": width % columns == 0,
        "num_warps": 8 if odd and kernel.startswith("scores") else 4,
        "num_stages": stages,
    }


def launch_forward(
    rows: Sequence[Tensor],
    tokens: Sequence[Tensor],
    offsets: Sequence[Tensor],
    positions: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Sequence[Tensor],
    gates: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`contexts [B, R, C]` in the tokens' dtype, `mass [B, R, M]` float32, `lse [B, R]` float32 in base 2."""
    layout = make_layout(rows, tokens, offsets, positions, masks, lengths)
    batch, count, many = layout.batch, layout.rows, len(tokens)
    x = tokens[0]
    contexts = x.new_empty(batch, count, layout.columns)
    mass = x.new_empty(batch, count, many, dtype=torch.float32)
    lse = x.new_empty(batch, count, dtype=torch.float32)
    if not lse.numel():
        return contexts, mass, lse
    weights = x.new_empty(batch, count, layout.blocks * BLOCK_T)
    tops, sums = (x.new_empty(batch, layout.blocks, count, dtype=torch.float32) for _ in range(2))
    gates = None if gates is None else gates.contiguous()
    with torch.cuda.device_of(x):
        for part in layout.parts:
            sizes = _sizes("scores", part.width, layout.rows, x)
            if part.length:
                scores_kernel[(batch * part.blocks * _blocks(count, sizes["BLOCK_R"]),)](
                    **layout.of_scores(part, gates), weights=weights, tops=tops, sums=sums, **sizes
                )
        ends = [part.first + part.blocks for part in layout.parts]
        merge_kernel[(batch * _blocks(count, 16),)](
            tops,
            sums,
            mass,
            lse,
            count,
            layout.blocks,
            *ends,
            *[layout.blocks] * (8 - many),
            M=many,
            M_PAD=_power_of_two(many),
            BLOCK_R=16,
            BLOCK_N=64,
        )
        for part in layout.parts:
            _sum_tokens(layout, part, weights, part.tokens, contexts, part.column, (tops, lse))
            if part.positions is not None:
                _sum_tokens(layout, part, weights, part.positions, contexts, part.extra_column, (tops, lse))
    return contexts, mass, lse


def launch_backward(
    grad_contexts: Tensor,
    grad_mass: Tensor,
    rows: Sequence[Tensor],
    tokens: Sequence[Tensor],
    offsets: Sequence[Tensor],
    positions: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Sequence[Tensor],
    gates: Tensor | None,
    contexts: Tensor,
    mass: Tensor,
    lse: Tensor,
    needed: Sequence[bool],
) -> list[Tensor]:
    """Gradients of gates, all rows, tokens, offsets, positions, in this order; an empty tensor for one not `needed`."""
    many, x = len(tokens), tokens[0]
    wants = iter(needed)
    of_gates = next(wants)
    of_rows, of_tokens, of_offsets, of_positions = (
        [next(wants) for _ in group] for group in (rows, tokens, offsets, positions)
    )
    shaped = [x if gates is None else gates, *rows, *tokens, *offsets, *positions]
    if not lse.numel():
        return [t.new_zeros(t.shape) if wanted else t.new_empty(0) for t, wanted in zip(shaped, needed, strict=True)]
    layout = make_layout(rows, tokens, offsets, positions, masks, lengths)
    batch, count = layout.batch, layout.rows
    whole_gates = None if gates is None else gates.contiguous()
    grad_contexts, grad_mass = grad_contexts.contiguous(), grad_mass.contiguous()
    delta = lse.new_empty(lse.shape)
    stored = (batch, count, layout.blocks * BLOCK_T)
    weights = x.new_empty(stored) if any(of_tokens) or any(of_positions) else None
    d_scores = x.new_empty(stored) if any(of_rows) or any(of_tokens) or any(of_offsets) else None
    d_sums = lse.new_empty(batch, layout.blocks, count) if of_gates or any(of_offsets) else None
    gradients: dict[str, list[Tensor]] = {"rows": [], "tokens": [], "offsets": [], "positions": []}
    nothing = x.new_empty(0)
    with torch.cuda.device_of(x):
        delta_kernel[(_blocks(batch * count, 16),)](
            contexts,
            grad_contexts,
            mass,
            grad_mass,
            delta,
            batch * count,
            layout.columns,
            M=many,
            M_PAD=_power_of_two(many),
            BLOCK_R=16,
            BLOCK_D=128,
        )
        for part in layout.parts:
            sizes = _sizes("scores_gradient", part.width, count, x)
            wants_any = of_gates or any(
                group[part.index] for group in (of_rows, of_tokens, of_offsets, of_positions) if group
            )
            if part.length and wants_any:
                scores_gradient_kernel[(batch * part.blocks * _blocks(count, sizes["BLOCK_R"]),)](
                    **layout.of_scores(part, whole_gates),
                    positions=part.positions,
                    d_contexts=grad_contexts,
                    d_mass=grad_mass,
                    lse=lse,
                    delta=delta,
                    weights=weights,
                    d_scores=d_scores,
                    d_sums=d_sums,
                    COLUMNS=layout.columns,
                    column=part.column,
                    EXTRA=0 if part.positions is None else part.positions.shape[1],
                    extra_column=part.extra_column,
                    **sizes,
                )
        for part in layout.parts:
            index = part.index
            gradients["tokens"].append(
                _tokens_gradient(layout, part, grad_contexts, weights, d_scores) if of_tokens[index] else x.new_empty(0)
            )
            if of_rows[index]:
                shared = part.rows.shape[0] == 1
                out = x.new_empty(batch, count, part.width, dtype=torch.float32 if shared else x.dtype)
                _sum_tokens(layout, part, d_scores, part.tokens, out, 0, None)
                # One sum a clip, added in a fixed order.
                gradients["rows"].append(out.sum(0, keepdim=True).to(x.dtype) if shared else out)
            else:
                gradients["rows"].append(x.new_empty(0))
            if offsets:
                gradients["offsets"].append(
                    _offset_gradient(part, offsets[index], d_scores, d_sums) if of_offsets[index] else x.new_empty(0)
                )
            if positions:
                gradients["positions"].append(
                    _tokens_gradient(layout, part, grad_contexts, weights, None)
                    if of_positions[index]
                    else x.new_empty(0)
                )
    result = nothing
    if of_gates and gates is not None and d_sums is not None:
        per_modality = [d_sums[:, part.first : part.first + part.blocks].sum((0, 1)) for part in layout.parts]
        result = torch.stack(per_modality, -1).view(gates.shape[0], -1, many).sum(1).to(gates.dtype)
    return [result, *(tensor for group in gradients.values() for tensor in group)]


def _sum_tokens(
    layout: Layout,
    part: Part,
    weights: Tensor | None,
    tokens: Tensor,
    out: Tensor,
    column: int,
    totals: tuple[Tensor, Tensor] | None,
) -> None:
    """`tokens [B, T, W]`, or `[T, W]` for all clips, times the weights, into W columns of `out [B, R, C]`."""
    width = tokens.shape[-1]
    sizes = _sizes("context", width, layout.rows, out)
    tops, lse = totals or (None, None)
    grid = layout.batch * _blocks(layout.rows, sizes["BLOCK_R"]) * _blocks(width, sizes["BLOCK_D"])
    context_kernel[(grid,)](
        weights,
        tokens,
        tops,
        lse,
        part.lengths,
        out,
        part.first,
        part.length,
        layout.blocks,
        layout.rows,
        width,
        out.shape[2],
        column,
        SHARED=tokens.ndim == 2,
        **sizes,
    )


def _tokens_gradient(
    layout: Layout, part: Part, grad_contexts: Tensor, weights: Tensor | None, d_scores: Tensor | None
) -> Tensor:
    """The gradient of a modality's tokens `[B, T, D_m]`; without `d_scores` that of its positions `[T, E]`."""
    positions = d_scores is None
    source = part.positions if positions and part.positions is not None else part.tokens
    width = source.shape[-1]
    out = source.new_empty(layout.batch, part.length, width, dtype=torch.float32 if positions else source.dtype)
    sizes = _sizes("tokens_gradient", width, layout.rows, source)
    grid = layout.batch * part.blocks * _blocks(width, sizes["BLOCK_D"])
    if grid:
        tokens_gradient_kernel[(grid,)](
            None if positions else part.rows,
            grad_contexts,
            weights,
            d_scores,
            part.lengths,
            out,
            0 if part.rows.shape[0] == 1 else layout.rows * width,
            part.first,
            part.length,
            layout.blocks,
            layout.rows,
            width,
            layout.columns,
            part.extra_column if positions else part.column,
            **sizes,
        )
    return out.sum(0).to(source.dtype) if positions else out


def _offset_gradient(part: Part, offset: Tensor, d_scores: Tensor | None, d_sums: Tensor | None) -> Tensor:
    assert d_scores is not None and d_sums is not None
    if part.offset is None:
        return offset.new_zeros(offset.shape)
    if offset.shape[2] > 1:
        begin = part.first * BLOCK_T
        gradient = d_scores[:, :, begin : begin + part.length]
    else:
        gradient = d_sums[:, part.first : part.first + part.blocks].sum(1)[..., None]
    if offset.shape[0] == 1:
        gradient = gradient.sum(0, keepdim=True, dtype=torch.float32)
    return gradient.to(offset.dtype).contiguous()


def _sizes(kernel: str, width: int, rows: int, like: Tensor) -> dict[str, Any]:
    return blocks(kernel, rows, width, like.element_size(), torch.version.hip is not None)


def _blocks(number: int, size: int) -> int:
    return -(-number // size)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()
