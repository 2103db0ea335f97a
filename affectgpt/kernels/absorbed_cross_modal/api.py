"""The operator: checks, the choice of a route, and what all routes share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from affectgpt.kernels.absorbed_cross_modal import routes
from affectgpt.kernels.absorbed_cross_modal.check import check
from affectgpt.kernels.absorbed_cross_modal.cost import ROUTES, Route, Shape, cheapest
from affectgpt.kernels.absorbed_cross_modal.fold import Fold, fold
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights


def absorbed_cross_modal_attention(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    *,
    num_heads: int,
    masks: Sequence[Tensor | None] | None = None,
    gates: Tensor | None = None,
    impl: Literal["auto", "project", "folded_project", "absorbed", "folded"] = "auto",
    cache: Fold | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention of Q queries over the raw tokens of up to 8 modalities of different widths, H heads.

    - `queries [B or 1, Q, D]`, a leading 1 being shared by the batch.
    - `tokens[m] [B, T_m, D_m]`, T_m from 0. `masks[m] [B, T_m]` bool, True for real tokens, or None. Tokens that are
      masked must be finite.
    - `gates [H, M]` are added to a modality's scores.
    - One float dtype, unless autocast chooses; the softmax is float32 or wider.
    - `impl`: `project` projects every token, `folded_project` by products of weights, `absorbed` projects queries and
      output instead, `folded` does that by products of weights; `auto` takes the cheapest by count (cost.py). The one
      asked for is the one that runs.
    - `cache` keeps the products between calls in which no weight needs a gradient; not when compiling.

    Returns `out [B, Q, O]` and `mass [B, H, Q, M]` (float32 for half inputs), the share of attention each modality
    received. A sample with nothing to attend gives exact zeros in both, and no gradient.

    Raises ValueError for a wrong shape, number, device or impl and TypeError for a wrong dtype.
    """
    check(queries, tokens, weights, num_heads, masks, gates)
    if impl != "auto" and impl not in ROUTES:
        raise ValueError(f"absorbed_cross_modal_attention: impl is {impl!r}, expected 'auto' or one of {list(ROUTES)}")
    trained = torch.is_grad_enabled() and any(tensor.requires_grad for _, tensor in weights.tensors())
    query_gradient = torch.is_grad_enabled() and queries.requires_grad
    if trained and cache is not None and not torch.compiler.is_compiling():
        cache.clear()
    keep = cache if not trained and not torch.compiler.is_compiling() else None
    keep_queries = keep is not None and queries.shape[0] == 1 and not query_gradient
    route = (
        impl
        if impl != "auto"
        else _choose(queries, tokens, weights, num_heads, trained or query_gradient, keep is not None, keep_queries)
    )

    if keep is not None and keep_queries:
        projected = keep.queries(queries, weights)
    else:
        projected = linear(queries, weights.query, weights.query_bias)
    q = projected.unflatten(2, (num_heads, -1)).transpose(1, 2) * (queries.shape[2] // num_heads) ** -0.5
    if route == "project":
        heads, mass = routes.project(q, tokens, weights, masks, gates)
    elif route == "absorbed":
        heads, mass = routes.absorbed(q, tokens, weights, masks, gates)
    else:
        folded = fold(weights) if keep is None else keep.folded(weights)
        run = routes.folded_project if route == "folded_project" else routes.absorbed_folded
        heads, mass = run(q, tokens, folded, masks, gates)
    return _finish(heads, tokens, weights, masks), mass


_remembered = lru_cache(maxsize=1024)(cheapest)  # counting takes as long as a short call


def _finish(heads: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: routes.Masks) -> Tensor:
    if weights.value_bias is not None:  # the weights of a row sum to one, so a bias of every value passes through
        heads = heads + weights.value_bias
    out = linear(heads, weights.out, weights.out_bias)
    if weights.key_bias is not None and weights.key_bias.requires_grad and torch.is_grad_enabled():
        # A bias of every key adds one number to all of a row's scores and cancels: its gradient is zero, not absent.
        out = out + (weights.key_bias * 0).sum()
    nonempty = [m for m, x in enumerate(tokens) if x.shape[1]]
    if not nonempty:
        return out * 0
    if masks is None or any(masks[m] is None for m in nonempty):
        return out
    nonempty_masks = [masks[m] for m in nonempty]
    has_token = torch.cat([mask for mask in nonempty_masks if mask is not None], 1).any(1)
    return out.masked_fill(~has_token[:, None, None], 0)


def _choose(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    heads: int,
    training: bool,
    folded: bool,
    queried: bool,
) -> Route:
    count = len(tokens)
    choose = cheapest if torch.compiler.is_compiling() else _remembered
    return choose(
        Shape(
            batch=tokens[0].shape[0],
            query_batch=queries.shape[0],
            queries=queries.shape[1],
            heads=heads,
            width=queries.shape[2],
            out=weights.out.shape[0],
            tokens=tuple(x.shape[1] for x in tokens),
            widths=tuple(x.shape[2] for x in tokens),
            projected=tuple(e is not None for e in weights.inputs),
            positioned=tuple(p is not None for p in weights.positions) if weights.positions else (False,) * count,
            training=training,
            token_gradient=torch.is_grad_enabled() and any(x.requires_grad for x in tokens),
            folded=folded,
            queried=queried,
            itemsize=tokens[0].element_size(),
        )
    )
