"""`modality-attention`: AffectGPT's pre-fusion, which weighs the modalities by their content."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.modality_attention_config import ModalityAttentionConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs, repeat_token


class ModalityAttention(nn.Module):
    """Inputs h_m `[B, T_m, D_m]` -> sum_m w_m e_m `[B, 1, D]`, e_m = Linear_m(mean over time of h_m).

    Scores are scale * Linear(Linear(concatenation of all e_m)), `[B, M]`, without an activation between (AffectGPT,
    arXiv 2501.16566, section 3). `normalize: softmax` takes w over the modalities that are present;
    `normalize: none` takes the raw scores, as the released AffectGPT does. `attribution [B, M]` is the share
    of each |w_m| ||e_m||. The token is repeated `copies` times.
    """

    def __init__(self, config: ModalityAttentionConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.softmax = config.normalize == "softmax"
        self.scale = config.scale
        self.copies = config.copies
        width, count = output.dim, len(inputs)
        self.projections = nn.ModuleList(nn.Linear(spec.dim, width) for spec in inputs.values())
        self.mix = nn.Linear(count * width, width)
        self.score = nn.Linear(width, count)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        pooled = torch.stack(
            [layer(masked_mean(source)) for layer, source in zip(self.projections, tokens, strict=True)], dim=1
        ).masked_fill(~present[..., None], 0.0)
        scores = self.score(self.mix(pooled.flatten(1))) * self.scale
        if self.softmax:
            scores = scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(dim=1)
        weights = scores.masked_fill(~present, 0.0)
        fused = (weights[..., None] * pooled).sum(dim=1, keepdim=True)
        size = weights.detach().abs() * pooled.detach().norm(dim=-1)
        attribution = size / size.sum(dim=1, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)
        return repeat_token(Tokens(fused, present.any(dim=1, keepdim=True), None, attribution), self.copies)
