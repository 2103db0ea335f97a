"""The module of `maxpool`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from affectgpt import Tokens, TokenSpec
from affectgpt_maxpool.config import MaxPoolConfig


class MaxPool(nn.Module):
    """Tokens `[B, T, D]` -> the largest of the real values over time, `[B, 1, D]`; 0 for a clip that has none."""

    def __init__(self, config: MaxPoolConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        (self.input,) = inputs

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens = inputs[self.input]
        valid = tokens.valid()
        largest = tokens.values.masked_fill(~valid[..., None], float("-inf")).amax(dim=1, keepdim=True)
        there = valid.any(dim=1, keepdim=True)
        return Tokens(largest.masked_fill(~there[..., None], 0.0), there)
