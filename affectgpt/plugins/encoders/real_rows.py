"""Running a network on the real rows of a padded batch only."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from affectgpt.core.tokens import MediaBatch, Tokens


def encode_real_rows(batch: MediaBatch, dim: int, encode: Callable[[Tensor], Tensor]) -> Tokens:
    """Tokens `[B, T, dim]` float32 of `batch`, where `encode` maps the N real rows `[N, ...]` to `[N, dim]`.

    Padding costs nothing, cannot reach a batch norm's statistics, and comes out as 0 whatever it held.
    """
    rows = batch.values[batch.mask]
    if rows.shape[0] == 0:
        values = batch.values.new_zeros((*batch.mask.shape, dim), dtype=batch.times.dtype)
    else:
        features = encode(rows).float()
        values = features.new_zeros((*batch.mask.shape, dim))
        values[batch.mask] = features
    return Tokens(values, batch.mask, batch.times)
