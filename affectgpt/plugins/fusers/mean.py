"""`mean`: average over time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.configs import MeanConfig
from affectgpt.plugins.fusers.pooling import masked_mean, mean_time, present, repeated


class Mean(nn.Module):
    """Tokens `[B, T, D]` -> their average `[B, 1, D]`, given `copies` times. No weights."""

    def __init__(self, config: MeanConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        (self.input,) = inputs
        self.copies = config.copies

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens = inputs[self.input]
        mean = Tokens(masked_mean(tokens)[:, None], present(tokens)[:, None], mean_time(tokens))
        return repeated(mean, self.copies)
