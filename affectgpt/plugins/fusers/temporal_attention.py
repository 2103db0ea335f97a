"""`temporal-attention`: a learned score per token, and the weighted sum over time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.pooling import has_tokens, mean_time, repeat_token
from affectgpt.plugins.fusers.temporal_attention_config import TemporalAttentionConfig


class TemporalAttention(nn.Module):
    """Tokens h `[B, T, D]` -> sum_t w_t h_t `[B, 1, D]`, with scores s = scale * Linear(D -> 1)(h).

    `normalize: softmax` takes w = softmax over the real tokens; `normalize: none` takes w = s, which is what
    the released AffectGPT computes (AffectGPT, arXiv 2501.16566, section 3; the released model's weights need it).
    A clip without the modality gives 0 and a False mask. The token is repeated `copies` times.
    """

    def __init__(self, config: TemporalAttentionConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        (self.input,) = inputs
        self.softmax = config.normalize == "softmax"
        self.scale = config.scale
        self.copies = config.copies
        self.score = nn.Linear(output.dim, 1)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens = inputs[self.input]
        values, valid = tokens.zeroed(), tokens.valid()[..., None]
        scores = self.score(values) * self.scale
        if self.softmax:
            scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min).softmax(dim=1)
        weights = scores.masked_fill(~valid, 0.0)
        fused = (weights * values).sum(dim=1, keepdim=True)
        return repeat_token(Tokens(fused, has_tokens(tokens)[:, None], mean_time(tokens)), self.copies)
