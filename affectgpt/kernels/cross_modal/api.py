"""The public operator: checks what it is given, then runs the implementation asked for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from affectgpt.kernels.cross_modal.check import check_once
from affectgpt.kernels.cross_modal.reference import reference
from affectgpt.kernels.cross_modal.sdpa import sdpa

Impl = Literal["auto", "reference", "sdpa", "triton"]
IMPLEMENTATIONS: tuple[Impl, ...] = ("auto", "reference", "sdpa", "triton")
HALVES = (torch.bfloat16, torch.float16)
# Looked up once: torch.compile cannot trace the look-up, and Triton reads its own variable once, too.
_TRITON = importlib.util.find_spec("triton") is not None
_INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"


def cross_modal_attention(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    *,
    masks: Sequence[Tensor | None] | None = None,
    lengths: Sequence[Tensor | None] | None = None,
    biases: Tensor | None = None,
    scale: float | None = None,
    impl: Impl = "auto",
) -> tuple[Tensor, Tensor]:
    """Attention of Q queries over the tokens of M modalities under one softmax, without concatenating them.

    - `queries [B or 1, H, Q, d]`; a leading 1 is shared by the batch and never expanded in memory.
    - `keys[m]`, `values[m]` `[B, Hkv, T_m, d]`, any strides, T_m from 0; H is a multiple of Hkv, and query heads
      h * H / Hkv to (h + 1) * H / Hkv - 1 read key head h.
    - `masks[m] [B, T_m]` bool, True = a token that counts; or `lengths[m] [B]`, the number of leading tokens that
      do. None for a modality whose tokens all count.
    - `biases [H, M]`, added to the scores of a modality's tokens (a learned gate).
    - `scale`, default `d ** -0.5`.
    - `impl`: `reference` (eager), `sdpa` (PyTorch's fused attention), `triton` (a GPU, or Triton's interpreter);
      `auto` takes `triton` on a GPU that it can run on, `sdpa` elsewhere.

    Returns `out [B, H, Q, d]` in the dtype of the queries and `mass [B, H, Q, M]` float32 (float64 for float64),
    the share of the attention that each modality received; both can be differentiated. A query with nothing to
    attend gets zeros in `out`, `mass` and all gradients. Under autocast, float32 inputs are cast first.

    Raises TypeError and ValueError, naming the argument, before anything runs; RuntimeError when the
    implementation asked for cannot run here (there is no silent replacement).
    """
    keys, values = list(keys), list(values)
    queries, keys, values, biases = _autocast(queries, keys, values, biases)
    check_once(queries, keys, values, masks, lengths, biases)
    if scale is not None and not isinstance(scale, int | float):
        raise TypeError(f"scale: {type(scale).__name__}; expected a number or None")
    factor = float(queries.shape[-1] ** -0.5 if scale is None else scale)
    chosen = _choose(impl, queries)
    if chosen == "triton":
        from affectgpt.kernels.cross_modal.ops import fused

        return fused(queries, keys, values, masks, lengths, biases, factor)
    valid = _masks(keys, masks, lengths)
    if chosen == "reference":
        return reference(queries, keys, values, valid, biases, factor)
    return sdpa(queries, keys, values, valid, biases, factor)


def why_not_triton(queries: Tensor) -> str:
    """Why the Triton kernels cannot take `queries`; empty when they can."""
    if not _TRITON:
        return "the package triton is not installed"
    if queries.dtype == torch.float64:
        return "float64 is for reference and sdpa only"
    if queries.device.type != "cuda" and not _INTERPRETED:
        return f"the tensors are on {queries.device.type}; expected a GPU, or TRITON_INTERPRET=1 in the environment"
    if _INTERPRETED and queries.dtype == torch.bfloat16:
        return "Triton's interpreter multiplies bfloat16 wrongly; use float32 or float16 in it"
    return ""


def _choose(impl: str, queries: Tensor) -> str:
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl: {impl!r}; expected one of {', '.join(IMPLEMENTATIONS)}")
    if impl == "auto":
        return "triton" if queries.device.type == "cuda" and not why_not_triton(queries) else "sdpa"
    if impl == "triton" and (reason := why_not_triton(queries)):
        raise RuntimeError(f'impl="triton" cannot run here: {reason}. impl="auto" takes what can run')
    return impl


def _autocast(
    queries: Tensor, keys: list[Tensor], values: list[Tensor], biases: Tensor | None
) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor | None]:
    """A custom operator is not on autocast's list, so the cast is made here."""
    tensors = [tensor for tensor in (queries, *keys, *values) if isinstance(tensor, Tensor)]
    if not tensors or not torch.is_autocast_enabled(tensors[0].device.type):
        return queries, keys, values, biases
    wanted = torch.get_autocast_dtype(tensors[0].device.type)

    def cast_one(tensor: Tensor) -> Tensor:
        fits = isinstance(tensor, Tensor) and tensor.dtype in (torch.float32, *HALVES)
        return tensor.to(wanted) if fits else tensor

    gates = cast_one(biases) if biases is not None else None
    return cast_one(queries), [cast_one(tensor) for tensor in keys], [cast_one(tensor) for tensor in values], gates


def _masks(
    keys: Sequence[Tensor], masks: Sequence[Tensor | None] | None, lengths: Sequence[Tensor | None] | None
) -> list[Tensor | None]:
    valid: list[Tensor | None] = list(masks) if masks is not None else [None] * len(keys)
    for index, (key, length) in enumerate(zip(keys, lengths or (), strict=False)):
        if length is not None:
            valid[index] = torch.arange(key.shape[2], device=key.device) < length[:, None]
    return valid
