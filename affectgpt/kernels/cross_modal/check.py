"""What the operator accepts: every argument is looked at before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
MODALITIES, WIDEST, QUERIES = 8, 256, 128
# What has passed; bounded, for ragged batches bring new shapes without end.
PASSED = 4096
_passed: dict[tuple[Any, ...], None] = {}


def check_once(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
    biases: Tensor | None,
) -> None:
    """[check][], but shapes, dtypes and devices that have passed are not looked at again."""
    if torch.compiler.is_compiling():
        check(queries, keys, values, masks, lengths, biases)
        return
    try:
        key = tuple(
            None if part is None else tuple(None if each is None else _facts(each) for each in part)
            for part in ((queries,), keys, values, masks, lengths, (biases,))
        )
        if key in _passed:
            return
    except (AttributeError, TypeError):
        # Something is no tensor, or a size is a symbol: the check says which, or passes it.
        key = None
    check(queries, keys, values, masks, lengths, biases)
    if key is not None:
        if len(_passed) >= PASSED:
            _passed.clear()
        _passed[key] = None


def _facts(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device


def check(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
    biases: Tensor | None,
) -> None:
    """Raise TypeError or ValueError naming the first argument that does not fit. Shapes as in the operator."""
    _tensor("queries", queries)
    _expect(queries.ndim == 4, "queries", list(queries.shape), "[B or 1, H, Q, d]")
    _expect(queries.dtype in FLOATS, "queries", queries.dtype, "float32, bfloat16, float16 or float64")
    _, heads, count, width = queries.shape
    _expect(1 <= width <= WIDEST, "queries", f"heads of width {width}", f"a width from 1 to {WIDEST}")
    _expect(1 <= count <= QUERIES, "queries", f"{count} queries", f"1 to {QUERIES} of them")
    _expect(heads >= 1, "queries", f"{heads} heads", "at least 1")
    _expect(1 <= len(keys) <= MODALITIES, "keys", f"{len(keys)} modalities", f"1 to {MODALITIES} of them")
    _expect(len(values) == len(keys), "values", f"{len(values)} tensors", f"{len(keys)}, as many as keys")
    _tensor("keys[0]", keys[0])
    _expect(keys[0].ndim == 4, "keys[0]", list(keys[0].shape), "[B, Hkv, T, d]")
    batch, kv_heads = keys[0].shape[:2]
    _expect(queries.shape[0] in (1, batch), "queries", f"a batch of {queries.shape[0]}", f"{batch}, as in keys, or 1")
    _expect(
        kv_heads >= 1 and heads % kv_heads == 0,
        "keys[0]",
        f"{kv_heads} heads",
        f"a number that divides the {heads} heads of queries",
    )
    for index in range(len(keys)):
        for name, tensor in ((f"keys[{index}]", keys[index]), (f"values[{index}]", values[index])):
            _tensor(name, tensor)
            length = keys[index].shape[2] if name.startswith("values") else "T"
            fits = tensor.ndim == 4 and tuple(tensor.shape[:2]) == (batch, kv_heads) and tensor.shape[3] == width
            fits = fits and (length == "T" or tensor.shape[2] == length)
            _expect(fits, name, list(tensor.shape), f"[{batch}, {kv_heads}, {length}, {width}]")
            _expect(tensor.dtype == queries.dtype, name, tensor.dtype, f"{queries.dtype}, as queries")
            _on(name, tensor, queries)
    _check_masks(queries, keys, masks, lengths)
    if biases is not None:
        _tensor("biases", biases)
        _expect(tuple(biases.shape) == (heads, len(keys)), "biases", list(biases.shape), f"[{heads}, {len(keys)}]")
        _expect(biases.dtype in FLOATS, "biases", biases.dtype, "a float dtype")
        _on("biases", biases, queries)


def _check_masks(
    queries: Tensor,
    keys: Sequence[Tensor],
    masks: Sequence[Tensor | None] | None,
    lengths: Sequence[Tensor | None] | None,
) -> None:
    batch = keys[0].shape[0]
    for name, values in (("masks", masks), ("lengths", lengths)):
        if values is not None:
            _expect(len(values) == len(keys), name, f"{len(values)} entries", f"{len(keys)}, as many as keys")
    for index, mask in enumerate(masks or ()):
        if mask is not None:
            name = f"masks[{index}]"
            _tensor(name, mask)
            _expect(mask.dtype == torch.bool, name, mask.dtype, "torch.bool, True = a token that counts")
            shape = (batch, keys[index].shape[2])
            _expect(tuple(mask.shape) == shape, name, list(mask.shape), str(list(shape)))
            _on(name, mask, queries)
    for index, length in enumerate(lengths or ()):
        if length is not None:
            name = f"lengths[{index}]"
            _tensor(name, length)
            _expect(masks is None or masks[index] is None, name, "a mask is given too", "one of the two")
            is_integer = not (length.is_floating_point() or length.is_complex()) and length.dtype != torch.bool
            _expect(is_integer, name, length.dtype, "an integer dtype")
            _expect(tuple(length.shape) == (batch,), name, list(length.shape), f"[{batch}]")
            _on(name, length, queries)


def _tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {type(value).__name__}; expected a tensor")


def _on(name: str, value: Tensor, queries: Tensor) -> None:
    _expect(value.device == queries.device, name, f"on {value.device}", f"{queries.device}, as queries")


def _expect(holds: bool, name: str, actual: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name}: {actual}; expected {expected}")
