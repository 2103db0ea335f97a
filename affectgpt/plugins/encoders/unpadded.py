"""Run a network on the real rows of a padded batch only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from affectgpt.core.tokens import MediaBatch, Tokens


def encode_unpadded(
    batch: MediaBatch, dim: int, encode: Callable[[Tensor], Tensor], per_row: int = 1, seconds: float = 0.0
) -> Tokens:
    """Tokens `[B, T * per_row, dim]` float32 of `batch`, `encode` mapping the N real rows to `[N, per_row * dim]`.

    `encode` may also return `[N, per_row, dim]`. The times of a row's tokens are spread evenly over its `seconds`,
    around the row's time. Padding costs nothing, does not enter batch norm statistics, and becomes 0.
    """
    rows = batch.values[batch.mask]
    shape = (*batch.mask.shape, per_row * dim)
    if rows.shape[0] == 0:
        values = batch.values.new_zeros(shape, dtype=batch.times.dtype)
    else:
        features = encode(rows).float().reshape(rows.shape[0], per_row * dim)
        values = features.new_zeros(shape)
        values[batch.mask] = features
    if per_row == 1:
        return Tokens(values, batch.mask, batch.times)
    offsets = ((torch.arange(per_row, device=values.device) + 0.5) / per_row - 0.5) * seconds
    return Tokens(
        values.view(values.shape[0], -1, dim),
        batch.mask.repeat_interleave(per_row, dim=1),
        (batch.times[..., None] + offsets).flatten(1),
    )
