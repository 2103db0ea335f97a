"""What a call must be, said before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from affectgpt.kernels.absorbed_cross_modal.fold import Folded
from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights

MAX_MODALITIES = 8
_NAME = "absorbed_cross_modal_attention"


def check(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    num_heads: int,
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
    gates: Tensor | None,
) -> None:
    """Raises ValueError for a wrong shape or number, TypeError for a wrong dtype; each names the argument."""
    count = len(tokens)
    if not 1 <= count <= MAX_MODALITIES:
        raise ValueError(f"{_NAME}: tokens holds {count} modalities, expected 1 to {MAX_MODALITIES}; join or drop some")
    if queries.ndim != 3:
        raise _shape("queries", queries, "[B or 1, Q, D]")
    if tokens[0].ndim != 3:
        raise _shape("tokens[0]", tokens[0], "[B, T_0, D_0]")
    width, batch = queries.shape[2], tokens[0].shape[0]
    if num_heads < 1 or width % num_heads:
        raise ValueError(f"{_NAME}: num_heads is {num_heads}, expected a divisor of the queries' width {width}")
    if queries.shape[0] not in (1, batch):
        raise _shape("queries", queries, f"[{batch} or 1, Q, {width}], the batch of tokens[0]")
    for name, group in (
        ("weights.inputs", weights.inputs),
        ("weights.input_biases", weights.input_biases or None),
        ("weights.positions", weights.positions or None),
        ("masks", masks),
        ("lengths", lengths),
    ):
        if group is not None and len(group) != count:
            raise ValueError(f"{_NAME}: {name} has {len(group)} entries, expected {count}, one for each of tokens")
    for m, x in enumerate(tokens):
        if x.ndim != 3 or x.shape[0] != batch:
            raise _shape(f"tokens[{m}]", x, f"[{batch}, T_{m}, D_{m}]")
        projection = weights.inputs[m]
        if projection is None and x.shape[2] != width:
            raise _shape(f"tokens[{m}]", x, f"[{batch}, T_{m}, {width}], as weights.inputs[{m}] is None (identity)")
        if projection is not None:
            _expect(f"weights.inputs[{m}]", projection, (width, x.shape[2]))
        if weights.input_biases and (bias := weights.input_biases[m]) is not None:
            _expect(f"weights.input_biases[{m}]", bias, (width,))
        if weights.positions and (position := weights.positions[m]) is not None:
            _expect(f"weights.positions[{m}]", position, (x.shape[1], width))
        if masks is not None and (mask := masks[m]) is not None:
            _expect(f"masks[{m}]", mask, (batch, x.shape[1]))
            if mask.dtype != torch.bool:
                raise TypeError(f"{_NAME}: masks[{m}] is {mask.dtype}, expected torch.bool, True for real tokens")
            _device(f"masks[{m}]", mask, queries)
        if lengths is not None and (length := lengths[m]) is not None:
            if masks is not None and masks[m] is not None:
                raise ValueError(f"{_NAME}: masks[{m}] and lengths[{m}] are both there, expected one of the two")
            _expect(f"lengths[{m}]", length, (batch,))
            if length.is_floating_point() or length.dtype == torch.bool:
                raise TypeError(f"{_NAME}: lengths[{m}] is {length.dtype}, expected an integer dtype")
            _device(f"lengths[{m}]", length, queries)
    for name, weight in (("query", weights.query), ("key", weights.key), ("value", weights.value)):
        _expect(f"weights.{name}", weight, (width, width))
    if weights.out.ndim != 2 or weights.out.shape[1] != width:
        raise _shape("weights.out", weights.out, f"[O, {width}]")
    for name, bias, size in (
        ("query_bias", weights.query_bias, width),
        ("key_bias", weights.key_bias, width),
        ("value_bias", weights.value_bias, width),
        ("out_bias", weights.out_bias, weights.out.shape[0]),
    ):
        if bias is not None:
            _expect(f"weights.{name}", bias, (size,))
    if gates is not None:
        _expect("gates", gates, (num_heads, count))
    # Under autocast the products choose their dtype.
    same = not torch.is_autocast_enabled(queries.device.type)
    _dtype("queries", queries, queries, same)
    for m, x in enumerate(tokens):
        _dtype(f"tokens[{m}]", x, queries, same)
        _device(f"tokens[{m}]", x, queries)
    for name, tensor in weights.tensors():
        _dtype(name, tensor, queries, same)
        _device(name, tensor, queries)
    if gates is not None:
        _dtype("gates", gates, queries, same)
        _device("gates", gates, queries)


def check_folded(
    folded: Folded,
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    impl: str,
    cached: bool,
    trained: bool,
    query_gradient: bool,
) -> None:
    """Raises ValueError where products from the caller do not fit the call, or would keep a gradient from a weight."""
    if impl not in ("auto", "folded", "folded_project"):
        raise ValueError(f"{_NAME}: folded is there and impl is {impl!r}, which makes no use of it; expected 'folded'")
    if cached:
        raise ValueError(f"{_NAME}: cache and folded are both there, expected one of the two")
    if trained or (query_gradient and folded.queries is not None):
        what = "a weight" if trained else "queries"
        raise ValueError(f"{_NAME}: folded is there and {what} needs a gradient, which it would not get; leave it out")
    count, width = len(tokens), queries.shape[2]
    for kind in ("keys", "values", "key_offsets", "value_offsets"):
        group = getattr(folded, kind)
        if len(group) != count:
            raise ValueError(f"{_NAME}: folded.{kind} has {len(group)} entries, expected {count}, as many as tokens")
        for m, product in enumerate(group):
            name, offset = f"folded.{kind}[{m}]", weights.offset(m)
            if kind in ("keys", "values"):
                _expect(name, product, (width, tokens[m].shape[2]))
            elif (product is None) != (offset is None):
                raise ValueError(f"{_NAME}: {name} does not fit the weights, expected fold(weights)")
            elif product is not None and offset is not None:
                _expect(name, product, tuple(offset.shape))
            if product is not None:
                _device(name, product, queries)
    if folded.queries is not None:
        _expect("folded.queries", folded.queries, tuple(queries.shape))
        _device("folded.queries", folded.queries, queries)


def _shape(name: str, tensor: Tensor, expected: str) -> ValueError:
    return ValueError(f"{_NAME}: {name} has shape {list(tensor.shape)}, expected {expected}")


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise _shape(name, tensor, str(list(shape)))


def _dtype(name: str, tensor: Tensor, queries: Tensor, same: bool) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"{_NAME}: {name} is {tensor.dtype}, expected a floating dtype; convert it")
    if same and tensor.dtype != queries.dtype:
        raise TypeError(f"{_NAME}: {name} is {tensor.dtype}, expected {queries.dtype}, the queries' dtype; convert it")


def _device(name: str, tensor: Tensor, queries: Tensor) -> None:
    if tensor.device != queries.device:
        raise ValueError(f"{_NAME}: {name} is on {tensor.device}, expected {queries.device}, where queries is; move it")
