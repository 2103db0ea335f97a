"""The operator: checks, the choice of a route, and what all routes share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from affectgpt.kernels.absorbed_cross_modal import fused, routes
from affectgpt.kernels.absorbed_cross_modal.backend import Backend, choose_backend, product_dtype
from affectgpt.kernels.absorbed_cross_modal.check import check, check_folded
from affectgpt.kernels.absorbed_cross_modal.cost import ROUTES, Route, Shape, cheapest
from affectgpt.kernels.absorbed_cross_modal.fold import Fold, Folded, fold
from affectgpt.kernels.absorbed_cross_modal.fused import MOST_QUERIES, WIDEST_HEAD, fits_cross_modal
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights


def absorbed_cross_modal_attention(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    *,
    num_heads: int,
    masks: Sequence[Tensor | None] | None = None,
    lengths: Sequence[Tensor | None] | None = None,
    gates: Tensor | None = None,
    impl: Literal["auto", "project", "folded_project", "absorbed", "folded"] = "auto",
    backend: Backend = "auto",
    cache: Fold | None = None,
    folded: Folded | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention of Q queries over the raw tokens of up to 8 modalities of different widths, H heads.

    - `queries [B or 1, Q, D]`, a leading 1 being shared by the batch.
    - `tokens[m] [B, T_m, D_m]`, T_m from 0. `masks[m] [B, T_m]` bool, True for real tokens, or `lengths[m] [B]`, the
      number of leading tokens that are real, or None. Tokens that a mask leaves out must be finite; those past a
      length are not read.
    - `gates [H, M]` are added to a modality's scores.
    - One float dtype, unless autocast chooses; the softmax is float32 or wider.
    - `impl`: `project` projects every token, `folded_project` by products of weights, `absorbed` projects queries and
      output instead, `folded` does that by products of weights; `auto` takes the cheapest by count (cost.py). The one
      asked for is the one that runs.
    - `backend`: `torch`, or `triton` (a GPU, or Triton's interpreter; float32, bfloat16, float16); `auto` takes
      `triton` on a GPU that it can run on and `torch` elsewhere. The one asked for is the one that runs.
    - `cache` keeps the products between calls in which no weight needs a gradient; not when compiling.
    - `folded`: the products, and the projected queries, by `fold(weights, queries)`. They are used as they are, also
      when compiling; that they are those of `weights` is the caller's business.

    Returns `out [B, Q, O]` and `mass [B, H, Q, M]` (float32 for half inputs), the share of attention each modality
    received. A sample with nothing to attend gives exact zeros in both, and no gradient.

    Raises ValueError for a wrong shape, number, device, impl or backend, and for `folded` with a weight that is being
    trained; TypeError for a wrong dtype; RuntimeError when `triton` is asked for and cannot run.
    """
    check(queries, tokens, weights, num_heads, masks, lengths, gates)
    if impl != "auto" and impl not in ROUTES:
        raise ValueError(f"absorbed_cross_modal_attention: impl is {impl!r}, expected 'auto' or one of {list(ROUTES)}")
    trained = torch.is_grad_enabled() and any(tensor.requires_grad for _, tensor in weights.tensors())
    query_gradient = torch.is_grad_enabled() and queries.requires_grad
    if folded is not None:
        check_folded(folded, queries, tokens, weights, impl, cache is not None, trained, query_gradient)
    runs = choose_backend(backend, queries)
    _refuse_project(queries, num_heads, impl, backend)
    if trained and cache is not None and not torch.compiler.is_compiling():
        cache.clear()
    keep = cache if not trained and not torch.compiler.is_compiling() else None
    keep_queries = keep is not None and queries.shape[0] == 1 and not query_gradient
    has_products = keep is not None or folded is not None
    queried = keep_queries or (folded is not None and folded.queries is not None)
    route = (
        impl
        if impl != "auto"
        else _choose(
            queries,
            tokens,
            weights,
            num_heads,
            trained or query_gradient,
            has_products,
            queried,
            runs,
            folded is not None,
        )
    )

    if folded is not None and folded.queries is not None:
        projected = folded.queries
    elif keep is not None and keep_queries:
        projected = keep.queries(queries, weights)
    else:
        projected = linear(queries, weights.query, weights.query_bias)
    q = projected.unflatten(2, (num_heads, -1)).transpose(1, 2) * (queries.shape[2] // num_heads) ** -0.5
    if route in ("folded", "folded_project") and folded is None:
        folded = fold(weights) if keep is None else keep.folded(weights)
    if runs == "triton" and (fits_cross_modal(queries, num_heads) or route in ("absorbed", "folded")):
        heads, mass = _by_triton(route, q, tokens, weights, folded, masks, lengths, gates)
    else:
        heads, mass = _by_torch(route, q, tokens, weights, folded, masks, lengths, gates)
    return _finish(heads, tokens, weights, masks, lengths), mass


_remembered = lru_cache(maxsize=1024)(cheapest)  # counting takes as long as a short call


def _by_torch(
    route: str,
    q: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    folded: Folded | None,
    masks: routes.Masks,
    lengths: routes.Masks,
    gates: Tensor | None,
) -> routes.Result:
    if lengths is not None and any(length is not None for length in lengths):
        counts = [_leading(x, length) for x, length in zip(tokens, lengths, strict=True)]
        # Tokens past a length may hold anything, and 0 times NaN is NaN.
        tokens = [
            x if count is None else x.masked_fill(~count[..., None], 0.0)
            for x, count in zip(tokens, counts, strict=True)
        ]
        masks = counts if masks is None else [mask if n is None else n for mask, n in zip(masks, counts, strict=True)]
    if route == "project":
        return routes.project(q, tokens, weights, masks, gates)
    if route == "absorbed":
        return routes.absorbed(q, tokens, weights, masks, gates)
    assert folded is not None
    run = routes.folded_project if route == "folded_project" else routes.absorbed_folded
    return run(q, tokens, folded, masks, gates)


def _by_triton(
    route: str,
    q: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    folded: Folded | None,
    masks: routes.Masks,
    lengths: routes.Masks,
    gates: Tensor | None,
) -> routes.Result:
    if route == "project":
        return fused.project(q, tokens, weights, masks, lengths, gates)
    if route == "absorbed":
        return fused.absorbed(q, tokens, weights, masks, lengths, gates)
    assert folded is not None
    if route == "folded_project":
        return fused.folded_project(q, tokens, folded, masks, lengths, gates)
    return fused.absorbed_folded(q, tokens, weights, folded, masks, lengths, gates)


def _leading(x: Tensor, length: Tensor | None) -> Tensor | None:
    return None if length is None else torch.arange(x.shape[1], device=x.device) < length[:, None]


def _refuse_project(queries: Tensor, heads: int, impl: str, backend: str) -> None:
    if backend == "triton" and impl in ("project", "folded_project") and not fits_cross_modal(queries, heads):
        raise RuntimeError(
            f"absorbed_cross_modal_attention: backend='triton' cannot run impl={impl!r}: {queries.shape[1]} queries of "
            f"heads {queries.shape[2] // heads} wide, expected at most {MOST_QUERIES} and {WIDEST_HEAD}; "
            f"take impl='absorbed' or 'folded'"
        )


def _finish(
    heads: Tensor, tokens: Sequence[Tensor], weights: FusionWeights, masks: routes.Masks, lengths: routes.Masks
) -> Tensor:
    if weights.value_bias is not None:  # the weights of a row sum to one, so a bias of every value passes through
        heads = heads + weights.value_bias
    out = linear(heads, weights.out, weights.out_bias)
    if weights.key_bias is not None and weights.key_bias.requires_grad and torch.is_grad_enabled():
        # A bias of every key adds one number to all of a row's scores and cancels: its gradient is zero, not absent.
        out = out + (weights.key_bias * 0).sum()
    nonempty = [m for m, x in enumerate(tokens) if x.shape[1]]
    if not nonempty:
        return out * 0
    row_masks = [masks[m] if masks is not None else None for m in nonempty]
    if lengths is not None:
        counts = [lengths[m] for m in nonempty]
        row_masks = [
            mask if count is None else (count > 0)[:, None] for mask, count in zip(row_masks, counts, strict=True)
        ]
    present = [mask for mask in row_masks if mask is not None]
    if len(present) < len(nonempty):
        return out
    return out.masked_fill(~torch.cat(present, 1).any(1)[:, None, None], 0)


def _choose(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    heads: int,
    training: bool,
    folded: bool,
    queried: bool,
    backend: str,
    only_folded: bool,
) -> Route:
    count, by_triton = len(tokens), backend == "triton"
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
            itemsize=product_dtype(queries).itemsize if by_triton else tokens[0].element_size(),
            device="cuda" if by_triton else "cpu",
            by_triton=by_triton,
        ),
        _possible(only_folded, not by_triton or fits_cross_modal(queries, heads)),
    )


def _possible(only_folded: bool, projecting: bool) -> tuple[Route, ...]:
    return tuple(
        route
        for route in ROUTES
        if (projecting or route in ("absorbed", "folded")) and (not only_folded or route.startswith("folded"))
    )
