"""`lmf`: low-rank multimodal fusion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.low_rank_fusion_config import LowRankConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs


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
            # Factors start around 1: the product of several small ones would be close to 0.
            nn.init.ones_(factor.get_parameter("bias"))
        self.weights = nn.Parameter(torch.full((config.rank,), config.rank**-0.5))
        self.bias = nn.Parameter(torch.zeros(output.dim))

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        product: Tensor | float = 1.0
        for factor, source in zip(self.factors, tokens, strict=True):
            product = product * rearrange(factor(masked_mean(source)), "b (r d) -> b r d", r=self.rank)
        assert isinstance(product, Tensor)
        fused = (self.weights[:, None] * product).sum(dim=1) + self.bias
        return Tokens(fused[:, None], present.any(dim=1, keepdim=True))
