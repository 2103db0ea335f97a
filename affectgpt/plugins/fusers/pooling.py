"""Averages over the real tokens, and which inputs are present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from affectgpt.core.tokens import Tokens


def masked_mean(tokens: Tokens) -> Tensor:
    """The mean over the real tokens, `[B, D]`; exactly 0 for a clip that has none."""
    valid = tokens.valid()
    count = valid.sum(dim=1, keepdim=True).clamp(min=1)
    return tokens.zeroed().sum(dim=1) / count.to(tokens.values.dtype)


def has_tokens(tokens: Tokens) -> Tensor:
    """Which clips have a real token, `[B]` bool."""
    return tokens.valid().any(dim=1)


def present_inputs(inputs: Mapping[str, Tokens], names: Sequence[str]) -> tuple[list[Tokens], Tensor]:
    """The tokens of the inputs `names`, in that order, and which clips have them, `[B, M]` bool."""
    tokens = [inputs[name] for name in names]
    return tokens, torch.stack([has_tokens(source) for source in tokens], dim=1)


def mean_time(tokens: Tokens) -> Tensor | None:
    """The mean time of the real tokens, `[B, 1]` float32 seconds, or None when times are unknown."""
    if tokens.times is None:
        return None
    valid = tokens.valid()
    times = torch.where(valid, tokens.times, torch.zeros_like(tokens.times))
    return times.sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)


def repeat_token(tokens: Tokens, copies: int) -> Tokens:
    """Repeat the one token of each clip `[B, 1, D]`, its mask and its time: `[B, copies, D]`."""
    if copies == 1:
        return tokens
    return replace(
        tokens,
        values=tokens.values.expand(-1, copies, -1),
        mask=None if tokens.mask is None else tokens.mask.expand(-1, copies),
        times=None if tokens.times is None else tokens.times.expand(-1, copies),
    )
