"""`gated`: the gated multimodal unit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.gated_config import GatedConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs


class Gated(nn.Module):
    """Inputs `[B, T_m, D_m]` -> sum_m g_m * tanh(W_m x_m), `[B, 1, D]`, g_m = sigmoid(G_m [x_1; ...; x_M]).

    x_m is the mean over time of h_m (Arevalo et al. 2017, arXiv 1702.01992, section 3, the form for any number of
    modalities). An absent input counts as 0 in all gates, and its own gate is 0. `attribution [B, M]` is the share of
    each ||g_m * tanh(W_m x_m)||.
    """

    def __init__(self, config: GatedConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        joined = sum(spec.dim for spec in inputs.values())
        self.embed = nn.ModuleList(nn.Linear(spec.dim, output.dim) for spec in inputs.values())
        self.gates = nn.ModuleList(nn.Linear(joined, output.dim) for _ in inputs)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        pooled = [masked_mean(source) for source in tokens]
        joined = torch.cat(pooled, dim=1)
        parts = torch.stack(
            [
                gate(joined).sigmoid() * embed(mean).tanh()
                for embed, gate, mean in zip(self.embed, self.gates, pooled, strict=True)
            ],
            dim=1,
        ).masked_fill(~present[..., None], 0.0)
        size = parts.detach().float().norm(dim=-1)
        share = size / size.sum(dim=1, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)
        return Tokens(parts.sum(dim=1, keepdim=True), present.any(dim=1, keepdim=True), None, share)
