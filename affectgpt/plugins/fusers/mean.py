"""`mean`: average over time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.mean_config import MeanConfig
from affectgpt.plugins.fusers.pooling import has_tokens, masked_mean, mean_time, repeat_token


class Mean(nn.Module):
    """Tokens `[B, T, D]` -> their average `[B, 1, D]`, repeated `copies` times. No weights."""

    def __init__(self, config: MeanConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        (self.input,) = inputs
        self.copies = config.copies

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens = inputs[self.input]
        mean = Tokens(masked_mean(tokens)[:, None], has_tokens(tokens)[:, None], mean_time(tokens))
        return repeat_token(mean, self.copies)
