"""`film`: feature-wise linear modulation of one input by the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.pooled_configs import FilmConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present


class Film(nn.Module):
    """First input h `[B, T, D]` -> (1 + gamma) * h + beta at every token, `[B, T, D]`, with its mask and times.

    gamma and beta `[B, D]` come from the other inputs' means over time through Linear, ReLU, Linear (Perez et al. 2018,
    arXiv 1709.07871, section 2; 1 + gamma as its section 7.2 does). A clip that lacks all the others is given back
    as it came; one that lacks the first input has one token, beta, so that the others are not lost.
    """

    def __init__(self, config: FilmConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.first, *others = inputs
        self.others = tuple(others)
        given = sum(inputs[name].dim for name in others)
        self.modulate = nn.Sequential(
            nn.Linear(given, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2 * output.dim)
        )

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, others = inputs[self.first], [inputs[name] for name in self.others]
        some = torch.stack([present(each) for each in others], dim=1).any(dim=1)
        modulation = self.modulate(torch.cat([masked_mean(each) for each in others], dim=1))
        gamma, beta = modulation.masked_fill(~some[:, None], 0.0)[:, None].chunk(2, dim=-1)
        values, valid = tokens.zeroed(), tokens.valid()
        alone = some & ~present(tokens)
        first = torch.arange(valid.shape[1], device=valid.device) == 0
        mask = valid | (alone[:, None] & first)
        times = None if tokens.times is None else tokens.times.masked_fill(~valid, 0.0)
        return Tokens(values + gamma * values + beta, mask, times)
