"""The same attention in four orders of multiplication; README.md derives them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from affectgpt.kernels.absorbed_cross_modal.fold import Folded
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights

Masks = Sequence[Tensor | None] | None
Result = tuple[Tensor, Tensor]


def project(q: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: Masks, gates: Tensor | None) -> Result:
    """Keys and values of every token, then attention: scaled `q [B or 1, H, Q, d]` -> `[B, Q, D]` and the mass."""
    parts = []
    for m, x in enumerate(tokens):
        projection, offset = weights.inputs[m], weights.offset(m)
        y = x if projection is None else linear(x, projection)
        parts.append(y if offset is None else y + offset)
    # One product for all modalities: with few tokens, what each costs is the weight's gradient, not the tokens.
    y = _join(parts, 1)
    return _attend(q, linear(y, weights.key), linear(y, weights.value), tokens, masks, gates)


def folded_project(q: Tensor, tokens: Sequence[Tensor], folded: Folded, masks: Masks, gates: Tensor | None) -> Result:
    """As `project`, each token going to its key and value by one product of weights."""
    keys, values = [], []
    for x, to_key, to_value, key_offset, value_offset in zip(
        tokens, folded.keys, folded.values, folded.key_offsets, folded.value_offsets, strict=True
    ):
        key, value = linear(x, to_key), linear(x, to_value)
        keys.append(key if key_offset is None else key + key_offset)
        values.append(value if value_offset is None else value + value_offset)
    return _attend(q, _join(keys, 1), _join(values, 1), tokens, masks, gates)


def absorbed(q: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: Masks, gates: Tensor | None) -> Result:
    """The projections go into the queries and the output; tokens are read as they are."""
    batch, heads, count = tokens[0].shape[0], q.shape[1], q.shape[2]
    a = rows_of(per_head(q, weights.key.view(heads, -1, weights.key.shape[1])))
    offsets = [weights.offset(m) for m in range(len(tokens))]
    scores = []
    for m, x in enumerate(tokens):
        projection, offset = weights.inputs[m], offsets[m]
        score = torch.matmul(a if projection is None else a @ projection, x.transpose(1, 2))
        extra = None if offset is None else a @ offset.T
        scores.append(_add(score.view(batch, heads, count, x.shape[1]), extra, gates, m))
    parts, mass = _softmax(scores, masks)
    context = None
    for m, x in enumerate(tokens):
        projection, offset, w = weights.inputs[m], offsets[m], parts[m].to(x.dtype).flatten(1, 2)
        term = torch.matmul(w, x)
        term = term if projection is None else term @ projection.T
        if offset is not None:
            w = w if offset.shape[0] == x.shape[1] else w.sum(-1, keepdim=True)
            term = term + (w.flatten(0, 1) @ offset).view_as(term)
        context = term if context is None else context + term
    assert context is not None
    value = weights.value.view(heads, -1, weights.value.shape[1])
    return join_heads(per_head(context.view(batch, heads, count, context.shape[2]), value.transpose(1, 2))), mass


def absorbed_folded(q: Tensor, tokens: Sequence[Tensor], folded: Folded, masks: Masks, gates: Tensor | None) -> Result:
    """As `absorbed`, with one product of weights on each side of a token instead of two."""
    batch, heads, count, size = tokens[0].shape[0], q.shape[1], q.shape[2], q.shape[3]
    scores = []
    for m, x in enumerate(tokens):
        a = rows_of(per_head(q, folded.keys[m].view(heads, size, -1)))
        score = torch.matmul(a, x.transpose(1, 2)).view(batch, heads, count, x.shape[1])
        offset = folded.key_offsets[m]
        extra = None if offset is None else per_head(q, offset.view(-1, heads, size).permute(1, 2, 0)).flatten(1, 2)
        scores.append(_add(score, extra, gates, m))
    parts, mass = _softmax(scores, masks)
    out = None
    for m, x in enumerate(tokens):
        w = parts[m].to(x.dtype)
        context = torch.matmul(w.flatten(1, 2), x).view(batch, heads, count, x.shape[2])
        term = per_head(context, folded.values[m].view(heads, size, -1).transpose(1, 2))
        offset = folded.value_offsets[m]
        if offset is not None:
            w = w if offset.shape[0] == x.shape[1] else w.sum(-1, keepdim=True)
            term = term + per_head(w, offset.view(-1, heads, size).transpose(0, 1))
        out = term if out is None else out + term
    assert out is not None
    return join_heads(out), mass


def _attend(
    q: Tensor, keys: Tensor, values: Tensor, tokens: Sequence[Tensor], masks: Masks, gates: Tensor | None
) -> Result:
    batch, heads, size = keys.shape[0], q.shape[1], q.shape[3]
    scores = torch.matmul(q, keys.view(batch, keys.shape[1], heads, size).permute(0, 2, 3, 1))
    lengths = [x.shape[1] for x in tokens]
    parts, mass = _softmax([_add(s, None, gates, m) for m, s in enumerate(torch.split(scores, lengths, -1))], masks)
    weights = _join(list(parts), -1).to(values.dtype)
    return join_heads(torch.matmul(weights, values.view(batch, values.shape[1], heads, size).transpose(1, 2))), mass


def _join(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def per_head(rows: Tensor, matrices: Tensor) -> Tensor:
    """`[B, H, N, i]` by `[H, i, j]`: one product a head over the batch, so that no matrix is copied per sample."""
    batch, heads, count, size = rows.shape
    flat = rows.transpose(0, 1).reshape(heads, batch * count, size)
    return torch.bmm(flat, matrices).view(heads, batch, count, matrices.shape[2]).transpose(0, 1)


def rows_of(heads: Tensor) -> Tensor:
    """`[B, H, Q, i]` -> `[B, H Q, i]`."""
    return heads.reshape(heads.shape[0], heads.shape[1] * heads.shape[2], heads.shape[3])


def join_heads(heads: Tensor) -> Tensor:
    """`[B, H, Q, d]` -> `[B, Q, H d]`."""
    return heads.transpose(1, 2).flatten(2)


def _add(score: Tensor, extra: Tensor | None, gates: Tensor | None, modality: int) -> Tensor:
    # `extra` [B or 1, H * Q, T_m or 1] is small when queries are shared: the gate joins it before the one large sum.
    score = score.float() if score.dtype in (torch.float16, torch.bfloat16) else score
    gate = None if gates is None else gates[:, modality].view(1, -1, 1, 1)
    if extra is None:
        return score if gate is None else score + gate
    extra = extra.reshape(extra.shape[0], score.shape[1], score.shape[2], extra.shape[-1])
    return score + (extra if gate is None else extra + gate)


def _softmax(scores: list[Tensor], masks: Masks) -> tuple[tuple[Tensor, ...], Tensor]:
    joined = _join(scores, -1)
    batch = joined.shape[0]
    if masks is None or all(mask is None for mask in masks):
        weights = joined.softmax(-1)
    else:
        keep = torch.cat(
            [
                joined.new_ones(batch, score.shape[-1], dtype=torch.bool) if mask is None else mask
                for mask, score in zip(masks, scores, strict=True)
            ],
            -1,
        )[:, None, None]
        lowest = torch.finfo(joined.dtype).min  # finite, so that a row with nothing to attend has no NaN to hide
        weights = joined.masked_fill(~keep, lowest).softmax(-1).masked_fill(~keep, 0)
    parts = weights.split([score.shape[-1] for score in scores], -1)
    return parts, torch.stack([part.sum(-1) for part in parts], -1)
