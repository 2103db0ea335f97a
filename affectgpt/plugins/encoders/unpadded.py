"""Running a network on the real rows of a padded batch only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from affectgpt.core.tokens import MediaBatch, Tokens


def encode_real_rows(
    batch: MediaBatch, dim: int, encode: Callable[[Tensor], Tensor], per_row: int = 1, seconds: float = 0.0
) -> Tokens:
    """Tokens `[B, T * per_row, dim]` float32 of `batch`, `encode` mapping the N real rows to `[N, per_row * dim]`.

    `encode` may as well give `[N, per_row, dim]`. The tokens of a row that lasts `seconds` lie evenly in it, around
    the row's own time. Padding costs nothing, cannot reach a batch norm's statistics, and comes out as 0 whatever it
    held.
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
