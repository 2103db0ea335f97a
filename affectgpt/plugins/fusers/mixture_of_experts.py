"""`moe`: a mixture of experts over all inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.mixture_of_experts_config import MixtureConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs


class MixtureOfExperts(nn.Module):
    """Inputs `[B, T_m, D_m]` -> sum over the `top` best experts e of w_e E_e(x), `[B, 1, D]`.

    x is the means over time of all inputs, concatenated, and for each input 1 or 0, whether it is present; E_e is
    Linear, GELU, Linear, and w the softmax over the scores of the picked experts (Shazeer et al. 2017, arXiv
    1701.06538, section 2.1, without its noise and its loss for balance: the experts here are few). All experts run,
    since a batch of pooled clips is small; those not picked get no gradient beyond 0.
    """

    def __init__(self, config: MixtureConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names, self.top = tuple(inputs), config.top
        joined = sum(spec.dim for spec in inputs.values()) + len(inputs)
        hidden = config.hidden or output.dim
        self.router = nn.Linear(joined, config.experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(joined, hidden), nn.GELU(), nn.Linear(hidden, output.dim))
            for _ in range(config.experts)
        )

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        pooled = [masked_mean(source) for source in tokens]
        joined = torch.cat([*pooled, present.to(pooled[0].dtype)], dim=1)
        scores = self.router(joined).float()
        least = scores.topk(self.top, dim=1).values[:, -1:]
        weights = scores.masked_fill(scores < least, -torch.inf).softmax(dim=1)
        results = torch.stack([expert(joined) for expert in self.experts], dim=1)
        fused = (weights.to(results.dtype)[..., None] * results).sum(dim=1, keepdim=True)
        return Tokens(fused, present.any(dim=1, keepdim=True))
