"""The fastest path of plain PyTorch: one scaled-dot-product attention, which also carries the mass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def sdpa(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """As [reference][]; `mass` comes from M more value columns, each 1 on the tokens of its modality.

    The columns make it exact and differentiable through PyTorch's fused kernels, which return no weights.
    """
    batch = keys[0].shape[0]
    count = len(keys)
    lengths = [key.shape[2] for key in keys]
    if sum(lengths) == 0:
        # Nothing to attend in the whole batch; the sum over an empty dimension keeps the graph connected.
        nothing = queries.sum() * 0 + sum((each.sum() for each in (*keys, *values)), queries.new_zeros(()))
        if biases is not None:
            nothing = nothing + biases.sum().to(nothing.dtype) * 0
        shape = (batch, *queries.shape[1:3])
        wide = nothing.to(torch.promote_types(nothing.dtype, torch.float32))
        return nothing.expand(*shape, queries.shape[3]), wide.expand(*shape, count)
    key, value = _joined(keys, masks), _joined(values, masks)
    which = torch.repeat_interleave(
        torch.eye(count, dtype=value.dtype, device=value.device),
        torch.tensor(lengths, device=value.device),
        dim=0,
        output_size=sum(lengths),
    )
    value = torch.cat([value, which.expand(batch, value.shape[1], -1, -1)], dim=-1)
    added, has_token = _added(queries, keys, masks, biases)
    out = functional.scaled_dot_product_attention(
        queries.expand(batch, -1, -1, -1),
        key,
        value,
        attn_mask=added,
        scale=scale,
        enable_gqa=queries.shape[1] != key.shape[1],
    )
    if has_token is not None:
        out = torch.where(has_token[:, None, None, None], out, torch.zeros((), dtype=out.dtype, device=out.device))
    width = queries.shape[3]
    return out[..., :width], out[..., width:].to(torch.promote_types(out.dtype, torch.float32))


def _joined(tensors: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
    clean = [
        tensor if mask is None else tensor.masked_fill(~mask[:, None, :, None], 0.0)
        for tensor, mask in zip(tensors, masks, strict=True)
    ]
    return clean[0] if len(clean) == 1 else torch.cat(clean, dim=2)


def _added(
    queries: Tensor, keys: Sequence[Tensor], masks: Sequence[Tensor | None], biases: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the scores, `[B, H or 1, 1, T]` or None, and which rows have something, `[B]` or None."""
    batch = keys[0].shape[0]
    added: Tensor | None = None
    has_token: Tensor | None = None
    if any(mask is not None for mask in masks):
        valid = torch.cat(
            [
                torch.ones(batch, key.shape[2], dtype=torch.bool, device=key.device) if mask is None else mask
                for key, mask in zip(keys, masks, strict=True)
            ],
            dim=1,
        )
        has_token = valid.any(dim=1)
        # A row without a valid token is attended in full and then set to zero: no 0 / 0 in either direction.
        valid = valid | ~has_token[:, None]
        added = torch.zeros(valid.shape, dtype=queries.dtype, device=queries.device)
        added = added.masked_fill(~valid, float("-inf"))[:, None, None, :]
    if biases is not None:
        gates = torch.cat([biases[:, index, None].expand(-1, key.shape[2]) for index, key in enumerate(keys)], dim=1)[
            None, :, None, :
        ].to(queries.dtype)
        added = gates if added is None else added + gates
    if added is not None:
        added = added.expand(batch, queries.shape[1], queries.shape[2], -1)
    return added, has_token
