"""`mbt`: modalities that exchange what they know through a few bottleneck tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention import Embed, Layer
from affectgpt.plugins.fusers.attention_configs import BottleneckConfig
from affectgpt.plugins.fusers.pooling import present


class Bottleneck(nn.Module):
    """Inputs `[B, T_m, D_m]` -> bottleneck tokens `[B, queries, dim]`.

    In every layer each modality's tokens and the bottleneck tokens attend to one another in a transformer layer of the
    modality's own; the bottleneck tokens then become the mean of what the modalities that are there made of them
    (Nagrani et al. 2021, arXiv 2107.00135, section 3.2, equations 8 and 9). The paper classifies from one token per
    modality; here the bottleneck tokens are the result.
    """

    def __init__(self, config: BottleneckConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        width, heads = output.dim, config.head_count(inputs)
        self.embed = nn.ModuleList(Embed(spec.dim, width) for spec in inputs.values())
        self.bottleneck = nn.Parameter(torch.randn(1, config.queries, width) * width**-0.5)
        self.layers = nn.ModuleList(nn.ModuleList(Layer(width, heads) for _ in inputs) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        given = [inputs[name] for name in self.names]
        streams = [embed(each) for embed, each in zip(self.embed, given, strict=True)]
        there = torch.stack([present(each) for each in given], dim=1)
        share = there.to(streams[0].dtype) / there.sum(dim=1, keepdim=True).clamp(min=1)
        between = self.bottleneck.expand(there.shape[0], -1, -1)
        count = between.shape[1]
        always = there.new_ones(there.shape[0], count)
        masks = [torch.cat([each.valid(), always], dim=1) for each in given]
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            own = [
                each(torch.cat([stream, between], dim=1), mask)
                for each, stream, mask in zip(layer, streams, masks, strict=True)
            ]
            streams = [each[:, :-count] for each in own]
            said = torch.stack([each[:, -count:] for each in own], dim=1)
            between = (share[..., None, None] * said).sum(dim=1)
        return Tokens(self.norm(between), there.any(dim=1, keepdim=True).expand(-1, count))
