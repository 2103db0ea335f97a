"""`lmf`: low-rank multimodal fusion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.pooled_configs import LowRankConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present


class LowRankFusion(nn.Module):
    """Inputs `[B, T_m, D_m]` -> sum_r a_r prod_m W_m^r [z_m; 1] + b, `[B, 1, D]`; z_m is the mean over time of h_m.

    It equals a linear layer on the outer product of all [z_m; 1] whose weight tensor has rank r (Liu et al. 2018,
    arXiv 1806.00064, section 3.2; a_r is the released code's weight per rank). An absent input has z_m = 0: its factor
    is the bias of W_m.
    """

    def __init__(self, config: LowRankConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names, self.rank = tuple(inputs), config.rank
        self.factors = nn.ModuleList(nn.Linear(spec.dim, config.rank * output.dim) for spec in inputs.values())
        for factor in self.factors:
            # A factor around 1: the product of several small ones would start out as nothing.
            nn.init.ones_(factor.get_parameter("bias"))
        self.weights = nn.Parameter(torch.full((config.rank,), config.rank**-0.5))
        self.bias = nn.Parameter(torch.zeros(output.dim))

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        given = [inputs[name] for name in self.names]
        there = torch.stack([present(tokens) for tokens in given], dim=1)
        product: Tensor | float = 1.0
        for factor, tokens in zip(self.factors, given, strict=True):
            product = product * rearrange(factor(masked_mean(tokens)), "b (r d) -> b r d", r=self.rank)
        assert isinstance(product, Tensor)
        fused = (self.weights[:, None] * product).sum(dim=1) + self.bias
        return Tokens(fused[:, None], there.any(dim=1, keepdim=True))
