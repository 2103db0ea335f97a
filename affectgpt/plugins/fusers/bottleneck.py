"""`mbt`: modalities that exchange information through a few bottleneck tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention import Embed, Layer
from affectgpt.plugins.fusers.bottleneck_config import BottleneckConfig
from affectgpt.plugins.fusers.pooling import present_inputs


class Bottleneck(nn.Module):
    """Inputs `[B, T_m, D_m]` -> bottleneck tokens `[B, queries, dim]`.

    In every layer each modality's tokens and the bottleneck tokens attend to one another in a transformer layer of the
    modality's own; the bottleneck tokens then become the mean of their versions from the modalities that are present
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
        sources, present = present_inputs(inputs, self.names)
        streams = [embed(source) for embed, source in zip(self.embed, sources, strict=True)]
        share = present.to(streams[0].dtype) / present.sum(dim=1, keepdim=True).clamp(min=1)
        bottleneck = self.bottleneck.expand(present.shape[0], -1, -1)
        count = bottleneck.shape[1]
        always = present.new_ones(present.shape[0], count)
        masks = [torch.cat([source.valid(), always], dim=1) for source in sources]
        for layers in self.layers:
            assert isinstance(layers, nn.ModuleList)
            attended = [
                layer(torch.cat([stream, bottleneck], dim=1), mask)
                for layer, stream, mask in zip(layers, streams, masks, strict=True)
            ]
            streams = [values[:, :-count] for values in attended]
            updates = torch.stack([values[:, -count:] for values in attended], dim=1)
            bottleneck = (share[..., None, None] * updates).sum(dim=1)
        return Tokens(self.norm(bottleneck), present.any(dim=1, keepdim=True).expand(-1, count))
