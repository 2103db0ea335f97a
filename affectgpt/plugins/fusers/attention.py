"""Layers of the fusers that attend: multi-head attention, a transformer layer, and the embedding of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from affectgpt.core.tokens import Tokens
from affectgpt.kernels.cross_modal.api import cross_modal_attention
from affectgpt.plugins.fusers.bases import SINES


class Attention(nn.Module):
    """Multi-head attention of queries `[B, Q, D]` over tokens `[B, T, R]` (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, width: int, heads: int, source_width: int | None = None) -> None:
        super().__init__()
        self.heads, source_width = heads, source_width or width
        self.query, self.key, self.value = (nn.Linear(size, width) for size in (width, source_width, source_width))
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
        """Attend to the tokens where `mask [B, T]` is True. A clip without a token gets zeros."""
        present = None
        if mask is not None:
            present = mask.any(dim=1)
            # Softmax over no key is NaN: a clip without a real token attends to all, and is zeroed below.
            mask = (mask | ~present[:, None])[:, None, None]
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(self.key(tokens)),
            self._split(self.value(tokens)),
            attn_mask=mask,
            dropout_p=dropout,
        )
        out: Tensor = self.out(rearrange(attended, "b h q d -> b q (h d)"))
        return out if present is None else out.masked_fill(~present[:, None, None], 0.0)

    def attend_sequences(
        self, queries: Tensor, tokens: Sequence[Tensor], masks: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """At most 128 queries over several token sequences under one softmax -> `[B, Q, D]`, mass `[B, H, Q, M]`."""
        attended, mass = cross_modal_attention(
            self._split(self.query(queries)),
            [self._split(self.key(source)) for source in tokens],
            [self._split(self.value(source)) for source in tokens],
            masks=masks,
        )
        out: Tensor = self.out(rearrange(attended, "b h q d -> b q (h d)"))
        return out, mass

    def _split(self, values: Tensor) -> Tensor:
        heads: Tensor = rearrange(values, "b t (h d) -> b h t d", h=self.heads)
        return heads


class FeedForward(nn.Sequential):
    """LayerNorm, Linear, GELU, Linear on `[B, T, D]`, without the residual sum."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        inner = expansion * width
        super().__init__(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class Layer(nn.Module):
    """x + attention(norm(x), context), then + feed-forward (pre-norm; Xiong et al. 2020, arXiv 2002.04745)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention, self.feed_forward = nn.LayerNorm(width), Attention(width, heads), FeedForward(width)

    def forward(self, values: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """Self-attention of `values [B, T, D]`, or attention over `context [B, S, D]`; `mask`: `[B, T]` or `[B, S]`."""
        normed = self.norm(values)
        values = values + self.attention(normed, normed if context is None else self.norm(context), mask)
        result: Tensor = values + self.feed_forward(values)
        return result


class Embed(nn.Module):
    """Tokens `[B, T, source_width]` -> Linear(LayerNorm(tokens)) + Linear(sines of their times), `[B, T, width]`."""

    def __init__(self, source_width: int, width: int) -> None:
        super().__init__()
        self.norm, self.read = nn.LayerNorm(source_width), nn.Linear(source_width, width)
        self.when = nn.Linear(SINES, width, bias=False)

    def forward(self, tokens: Tokens) -> Tensor:
        values = tokens.zeroed()
        embedded: Tensor = self.read(self.norm(values)) + self.when(time_sines(tokens).to(values.dtype))
        return embedded


def time_sines(tokens: Tokens) -> Tensor:
    """Sines and cosines of each token's time at 8 wavelengths from 0.1 to 1000 seconds, `[B, T, 16]` float32.

    Where times are unknown, a token's index among the clip's real tokens counts as its time in seconds.
    """
    valid = tokens.valid()
    times = tokens.times if tokens.times is not None else (valid.cumsum(dim=1) - 1).float()
    times = torch.where(valid, times, torch.zeros_like(times))
    frequencies = torch.logspace(1, -3, SINES // 2, device=times.device)
    angles = times[..., None] * (2 * torch.pi * frequencies)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
