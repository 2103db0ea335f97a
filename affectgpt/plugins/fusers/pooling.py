"""Averages over time that look at real tokens only."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from affectgpt.core.tokens import Tokens


def masked_mean(tokens: Tokens) -> Tensor:
    """The mean over the real tokens, `[B, D]`; exactly 0 for a clip that has none."""
    valid = tokens.valid()
    count = valid.sum(dim=1, keepdim=True).clamp(min=1)
    return tokens.zeroed().sum(dim=1) / count.to(tokens.values.dtype)


def present(tokens: Tokens) -> Tensor:
    """Which clips have the modality at all, `[B]` bool."""
    return tokens.valid().any(dim=1)


def mean_time(tokens: Tokens) -> Tensor | None:
    """The mean time of the real tokens, `[B, 1]` float32 seconds, or None when times are unknown."""
    if tokens.times is None:
        return None
    valid = tokens.valid()
    times = torch.where(valid, tokens.times, torch.zeros_like(tokens.times))
    return times.sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)


def repeated(tokens: Tokens, copies: int) -> Tokens:
    """One token per clip, `[B, 1, D]`, given `copies` times: `[B, copies, D]`, its mask and time likewise."""
    if copies == 1:
        return tokens
    return replace(
        tokens,
        values=tokens.values.expand(-1, copies, -1),
        mask=None if tokens.mask is None else tokens.mask.expand(-1, copies),
        times=None if tokens.times is None else tokens.times.expand(-1, copies),
    )
