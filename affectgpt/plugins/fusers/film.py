"""`film`: feature-wise linear modulation of one input by the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.film_config import FilmConfig
from affectgpt.plugins.fusers.pooling import has_tokens, masked_mean, present_inputs


class Film(nn.Module):
    """First input h `[B, T, D]` -> (1 + gamma) * h + beta at every token, `[B, T, D]`, with its mask and times.

    gamma and beta `[B, D]` come from the other inputs' means over time through Linear, ReLU, Linear (Perez et al. 2018,
    arXiv 1709.07871, section 2; 1 + gamma as its section 7.2 does). The tokens of a clip without
    any other input are unchanged; a clip without the first input has one token, beta, which keeps the other inputs.
    """

    def __init__(self, config: FilmConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.input, *conditions = inputs
        self.conditions = tuple(conditions)
        joined = sum(inputs[name].dim for name in conditions)
        self.modulate = nn.Sequential(
            nn.Linear(joined, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2 * output.dim)
        )

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens = inputs[self.input]
        conditions, present = present_inputs(inputs, self.conditions)
        has_condition = present.any(dim=1)
        modulation = self.modulate(torch.cat([masked_mean(condition) for condition in conditions], dim=1))
        gamma, beta = modulation.masked_fill(~has_condition[:, None], 0.0)[:, None].chunk(2, dim=-1)
        values, valid = tokens.zeroed(), tokens.valid()
        only_beta = has_condition & ~has_tokens(tokens)
        first = torch.arange(valid.shape[1], device=valid.device) == 0
        mask = valid | (only_beta[:, None] & first)
        times = None if tokens.times is None else tokens.times.masked_fill(~valid, 0.0)
        return Tokens(values + gamma * values + beta, mask, times)
