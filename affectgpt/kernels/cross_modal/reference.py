"""The definition, in eager PyTorch: what every other implementation has to equal, empty rows included."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def reference(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """`softmax(scale * q k^T + bias) v` over the valid tokens of all modalities at once.

    Shapes as in [cross_modal_attention][]. Scores and sums are float32, or float64 for float64 inputs. Returns
    `out [B, H, Q, d]` in the dtype of `queries` and `mass [B, H, Q, M]` in the dtype of the sums.
    """
    wide = torch.float64 if queries.dtype == torch.float64 else torch.float32
    batch, kv_heads = keys[0].shape[:2]
    heads, count, width = queries.shape[1:]
    groups = heads // kv_heads
    grouped = queries.to(wide).unflatten(1, (kv_heads, groups))
    scores, valid, masked_values = [], [], []
    for index, (key, value, mask) in enumerate(zip(keys, values, masks, strict=True)):
        key, value = key.to(wide), value.to(wide)
        if mask is not None:
            # Whatever a masked position holds, NaN included, must not reach a product.
            key = key.masked_fill(~mask[:, None, :, None], 0.0)
            value = value.masked_fill(~mask[:, None, :, None], 0.0)
        score = torch.einsum("bhgqd,bhtd->bhgqt", grouped, key) * scale
        if biases is not None:
            score = score + biases[:, index].to(wide).view(kv_heads, groups, 1, 1)
        scores.append(score)
        mask_or_ones = torch.ones(batch, key.shape[2], dtype=torch.bool, device=key.device) if mask is None else mask
        valid.append(mask_or_ones[:, None, None, None, :])
        masked_values.append(value)
    lengths = [score.shape[-1] for score in scores]
    joined = torch.cat(scores, dim=-1)
    weights = _softmax(joined, torch.cat(valid, dim=-1))
    parts = weights.split(lengths, dim=-1)
    out = sum(torch.einsum("bhgqt,bhtd->bhgqd", part, value) for part, value in zip(parts, masked_values, strict=True))
    mass = torch.stack([part.sum(dim=-1) for part in parts], dim=-1)
    assert isinstance(out, Tensor)
    return (
        out.reshape(batch, heads, count, width).to(queries.dtype),
        mass.reshape(batch, heads, count, len(keys)),
    )


def _softmax(scores: Tensor, valid: Tensor) -> Tensor:
    """Softmax over the valid positions of the last dimension; all zeros, and no gradient, where there is none."""
    if scores.shape[-1] == 0:
        return scores
    low = scores.masked_fill(~valid, float("-inf"))
    top = low.detach().amax(dim=-1, keepdim=True)
    top = top.masked_fill(top == float("-inf"), 0.0)
    powers = (low - top).exp()
    total = powers.sum(dim=-1, keepdim=True)
    return powers / total.masked_fill(total == 0, 1.0)
