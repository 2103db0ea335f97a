"""`mult`: a transformer from every modality to every other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention import Embed, Layer
from affectgpt.plugins.fusers.crossmodal_transformer_config import CrossmodalConfig
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs


class CrossmodalTransformer(nn.Module):
    """Inputs `[B, T_m, D_m]` -> one token per input, `[B, M, dim]`, in the order of the inputs.

    For every ordered pair, the tokens of the one attend to those of the other in `layers` layers; the results of a
    modality for all other modalities are concatenated, brought back to `dim`, goes through a layer of self-attention
    and is averaged over time (Tsai et al. 2019, arXiv 1906.00295, sections 3.1 and 3.2, which takes the last step
    instead of the average and keeps the width of all sides). A token is real where its modality is.
    """

    def __init__(self, config: CrossmodalConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        width, heads, count = output.dim, config.head_count(inputs), len(inputs)
        self.embed = nn.ModuleList(Embed(spec.dim, width) for spec in inputs.values())
        self.pairs = nn.ModuleDict(
            {
                f"{target}_from_{source}": nn.ModuleList(Layer(width, heads) for _ in range(config.layers))
                for target in range(count)
                for source in range(count)
                if source != target
            }
        )
        self.join = nn.ModuleList(nn.Linear((count - 1) * width, width) for _ in inputs)
        self.among = nn.ModuleList(Layer(width, heads) for _ in inputs)
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        sources, present = present_inputs(inputs, self.names)
        streams = [embed(source) for embed, source in zip(self.embed, sources, strict=True)]
        masks = [source.valid() for source in sources]
        pooled = []
        for target, (join, self_attention) in enumerate(zip(self.join, self.among, strict=True)):
            attended = []
            for source in range(len(sources)):
                if source != target:
                    values, layers = streams[target], self.pairs[f"{target}_from_{source}"]
                    assert isinstance(layers, nn.ModuleList)
                    for layer in layers:
                        values = layer(values, masks[source], streams[source])
                    attended.append(values)
            joined = self_attention(join(torch.cat(attended, dim=-1)), masks[target])
            pooled.append(masked_mean(Tokens(joined, masks[target])))
        return Tokens(self.norm(torch.stack(pooled, dim=1)), present)
