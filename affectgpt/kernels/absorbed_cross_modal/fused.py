"""The routes by the Triton kernels: what has weights stays in torch, what walks the tokens is one custom operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from affectgpt.kernels.absorbed_cross_modal.backend import product_dtype
from affectgpt.kernels.absorbed_cross_modal.fold import Folded
from affectgpt.kernels.absorbed_cross_modal.ops import attend
from affectgpt.kernels.absorbed_cross_modal.routes import Masks, Result, join_heads, per_head, rows_of
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights
from affectgpt.kernels.cross_modal.api import cross_modal_attention

MOST_QUERIES, WIDEST_HEAD = 128, 256
"""Limits of `cross_modal_attention`, which the projecting routes run."""


def fits_cross_modal(queries: Tensor, heads: int) -> bool:
    """Whether the projecting routes can run on `queries [B or 1, Q, D]` by a kernel."""
    return queries.shape[1] <= MOST_QUERIES and queries.shape[2] // heads <= WIDEST_HEAD


def project(
    q: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: Masks, lengths: Masks, gates: Tensor | None
) -> Result:
    """Keys and values of every token, a tensor a modality: scaled `q [B or 1, H, Q, d]` -> `[B, Q, D]` and the mass."""
    keys, values = [], []
    for m, x in enumerate(tokens):
        projection, offset = weights.inputs[m], weights.offset(m)
        y = x if projection is None else linear(x, projection)
        y = y if offset is None else y + offset
        keys.append(linear(y, weights.key))
        values.append(linear(y, weights.value))
    return _cross_modal(q, keys, values, masks, lengths, gates)


def folded_project(
    q: Tensor, tokens: Sequence[Tensor], folded: Folded, masks: Masks, lengths: Masks, gates: Tensor | None
) -> Result:
    """As `project`, each token going to its key and value by one product of weights."""
    keys: list[Tensor] = []
    values: list[Tensor] = []
    for m, x in enumerate(tokens):
        for results, matrix, offset in (
            (keys, folded.keys[m], folded.key_offsets[m]),
            (values, folded.values[m], folded.value_offsets[m]),
        ):
            y = linear(x, matrix)
            results.append(y if offset is None else y + offset)
    return _cross_modal(q, keys, values, masks, lengths, gates)


def absorbed(
    q: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: Masks, lengths: Masks, gates: Tensor | None
) -> Result:
    """The projections go into the queries and the output; the kernels read the tokens as they are."""
    a = rows_of(per_head(q, weights.key.view(q.shape[1], -1, weights.key.shape[1])))
    offsets = [weights.offset(m) for m in range(len(tokens))]
    rows = [a if projection is None else a @ projection for projection in weights.inputs]
    scores = [None if offset is None else a @ offset.T for offset in offsets]
    contexts, positioned, mass = _attend(q, tokens, rows, scores, offsets, masks, lengths, gates)
    total = positioned
    for part, projection in zip(contexts, weights.inputs, strict=True):
        term = part if projection is None else part @ projection.T
        total = term if total is None else total + term
    assert total is not None
    shared = _one_row(offsets)
    if shared:
        total = total + _share(mass, shared, total).flatten(1, 2) @ torch.cat([*shared.values()])
    return join_heads(_values(total, q, weights)), mass


def absorbed_folded(
    q: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    folded: Folded,
    masks: Masks,
    lengths: Masks,
    gates: Tensor | None,
) -> Result:
    """As `absorbed`, with one product of weights on each side of a token instead of two."""
    heads, size = q.shape[1], q.shape[3]
    rows = [rows_of(per_head(q, key.view(heads, size, -1))) for key in folded.keys]
    scores = [
        None if offset is None else per_head(q, offset.view(-1, heads, size).permute(1, 2, 0)).flatten(1, 2)
        for offset in folded.key_offsets
    ]
    offsets = [weights.offset(m) if _per_token(offset) else None for m, offset in enumerate(folded.key_offsets)]
    contexts, positioned, mass = _attend(q, tokens, rows, scores, offsets, masks, lengths, gates)
    total: Tensor | None = None if positioned is None else _values(positioned, q, weights)
    for part, value in zip(contexts, folded.values, strict=True):
        term = per_head(part.unflatten(1, (heads, -1)), value.view(heads, size, -1).transpose(1, 2))
        total = term if total is None else total + term
    assert total is not None
    shared = _one_row(folded.value_offsets)
    if shared:
        stacked = torch.cat([*shared.values()]).view(-1, heads, size).transpose(0, 1)
        total = total + per_head(_share(mass, shared, total), stacked)
    return join_heads(total), mass


def _attend(
    q: Tensor,
    tokens: Sequence[Tensor],
    rows: list[Tensor],
    scores: list[Tensor | None],
    offsets: Sequence[Tensor | None],
    masks: Masks,
    lengths: Masks,
    gates: Tensor | None,
) -> tuple[list[Tensor], Tensor | None, Tensor]:
    """Per modality its context `[B, R, D_m]`; the sum of the weighted per-token offsets; mass `[B, H, Q, M]`."""
    dtype = product_dtype(q)
    positions = [offset if _per_token(offset) else None for offset in offsets]
    contexts, mass, _ = attend(
        [part.to(dtype) for part in rows],
        [x.to(dtype) for x in tokens],
        _tensors(scores, q, dtype),
        _tensors(positions, q, dtype),
        _tensors(masks, q, torch.bool),
        _tensors(lengths, q, torch.int64),
        gates,
    )
    widths = [x.shape[2] for x in tokens]
    extras = [position.shape[1] for position in positions if position is not None]
    parts = contexts.split([*widths, *extras], 2)
    positioned: Tensor | None = None
    for part in parts[len(tokens) :]:
        positioned = part if positioned is None else positioned + part
    return list(parts[: len(tokens)]), positioned, mass.unflatten(1, (q.shape[1], -1))


def _cross_modal(
    q: Tensor, keys: list[Tensor], values: list[Tensor], masks: Masks, lengths: Masks, gates: Tensor | None
) -> Result:
    heads = [[each.unflatten(2, (q.shape[1], -1)).transpose(1, 2) for each in group] for group in (keys, values)]
    out, mass = cross_modal_attention(q, *heads, masks=masks, lengths=lengths, biases=gates, scale=1.0, impl="triton")
    return join_heads(out), mass


def _values(contexts: Tensor, q: Tensor, weights: FusionWeights) -> Tensor:
    """Contexts `[B, R, D]` through each head's rows of the value projection, `[B, H, Q, d]`."""
    value = weights.value.view(q.shape[1], -1, weights.value.shape[1])
    return per_head(contexts.unflatten(1, (q.shape[1], -1)), value.transpose(1, 2))


def _per_token(offset: Tensor | None) -> bool:
    return offset is not None and offset.shape[0] > 1


def _one_row(offsets: Sequence[Tensor | None]) -> dict[int, Tensor]:
    """The offsets that all tokens of a modality share: mass times them is what they add."""
    return {m: offset for m, offset in enumerate(offsets) if offset is not None and offset.shape[0] == 1}


def _share(mass: Tensor, modalities: Iterable[int], like: Tensor) -> Tensor:
    # An index by a list would be copied to the GPU.
    return torch.stack([mass[..., m] for m in modalities], -1).to(like.dtype)


def _tensors(group: Sequence[Tensor | None] | None, like: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """As the custom operator takes it: no list of absent tensors, an empty tensor for an absent one."""
    if group is None or all(tensor is None for tensor in group):
        return []
    return [like.new_empty(0, dtype=dtype) if tensor is None else tensor.to(dtype) for tensor in group]
