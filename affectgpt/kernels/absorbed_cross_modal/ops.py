"""The Triton kernels as one `torch.library` operator with its shapes and its gradient.

Everything with weights stays outside. Absent tensors travel as an empty list, or as an empty tensor in a list: optional
lists and default values break the backward's structure in torch 2.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("affectgpt::absorbed_cross_modal_attention", mutates_args=())
def attend(
    rows: Sequence[Tensor],
    tokens: Sequence[Tensor],
    offsets: Sequence[Tensor],
    positions: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Sequence[Tensor],
    gates: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax over all modalities m of `rows_m tokens_m^T + offsets_m + gates_m`, and the tokens it weighs.

    - `rows[m] [B or 1, R, D_m]`, R = H Q, heads first; `tokens[m] [B, T_m, D_m]`.
    - `offsets[m] [B or 1, R, T_m or 1]`; `masks[m] [B, T_m]` bool; `lengths[m] [B]`, how many leading tokens count;
      `gates [H, M]`.
    - `positions[m] [T_m, E_m]`, of all clips: weighed as the tokens are.

    Returns `contexts [B, R, sum of D_m + sum of E_m]`, `mass [B, R, M]` float32 and, without gradient, the scores'
    log-sum-exp `[B, R]` float32 in base 2 (+inf for a row with nothing to attend, whose contexts and mass are 0).
    """
    from affectgpt.kernels.absorbed_cross_modal.triton import launch_forward

    return launch_forward(rows, tokens, offsets, positions, masks, lengths, gates)


@attend.register_fake
def _(rows, tokens, offsets, positions, masks, lengths, gates):
    batch, count, x = tokens[0].shape[0], rows[0].shape[1], tokens[0]
    columns = sum(each.shape[2] for each in tokens) + sum(each.shape[1] for each in positions if each.ndim == 2)
    return (
        x.new_empty(batch, count, columns),
        x.new_empty(batch, count, len(tokens), dtype=torch.float32),
        x.new_empty(batch, count, dtype=torch.float32),
    )


@torch.library.custom_op("affectgpt::absorbed_cross_modal_attention_backward", mutates_args=())
def _backward(
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
    """Gradients of gates, then of all rows, tokens, offsets, positions; an empty tensor where none is needed."""
    from affectgpt.kernels.absorbed_cross_modal.triton import launch_backward

    return launch_backward(
        grad_contexts,
        grad_mass,
        rows,
        tokens,
        offsets,
        positions,
        masks,
        lengths,
        gates,
        contexts,
        mass,
        lse,
        needed,
    )


@_backward.register_fake
def _(
    grad_contexts,
    grad_mass,
    rows,
    tokens,
    offsets,
    positions,
    masks,
    lengths,
    gates,
    contexts,
    mass,
    lse,
    needed,
):
    shaped = [tokens[0] if gates is None else gates, *rows, *tokens, *offsets, *positions]
    return [
        each.new_empty(each.shape) if wanted else each.new_empty(0) for each, wanted in zip(shaped, needed, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *groups, gates = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.sizes = [len(group) for group in groups]
    ctx.save_for_backward(*output, *(each for group in groups for each in group), *([] if gates is None else [gates]))


def _gradient(ctx: Any, grad_contexts: Tensor, grad_mass: Tensor, _: Tensor) -> tuple[Any, ...]:
    contexts, mass, lse, *saved = ctx.saved_tensors
    groups = []
    for size in ctx.sizes:
        groups.append(saved[:size])
        saved = saved[size:]
    gates = saved[0] if saved else None
    *wants, wants_gates = ctx.needs_input_grad
    trained, untrained = wants[:4], ctx.sizes[4:]
    needed = [wants_gates, *(wanted for group in trained for wanted in group)]
    computed = _backward(grad_contexts, grad_mass, *groups, gates, contexts, mass, lse, needed)
    gradients = iter([each if wanted else None for each, wanted in zip(computed, needed, strict=True)])
    of_gates = next(gradients)
    return (
        *([next(gradients) for _ in group] for group in trained),
        *([None] * size for size in untrained),
        of_gates,
    )


attend.register_autograd(_gradient, setup_context=_setup)
