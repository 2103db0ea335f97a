"""`cross-attention`: learned queries read the tokens of all inputs at once, through the fused operator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.kernels.absorbed_cross_modal import Fold, FusionWeights, absorbed_cross_modal_attention
from affectgpt.plugins.fusers.attention import FeedForward, time_sines
from affectgpt.plugins.fusers.bases import SINES
from affectgpt.plugins.fusers.cross_attention_config import CrossAttentionConfig
from affectgpt.plugins.fusers.pooling import present_inputs


class CrossAttention(nn.Module):
    """Inputs `[B, T_m, D_m]` -> `[B, queries, dim]`: queries attend to the tokens of all inputs under one softmax.

    x_m = LayerNorm(h_m) + W_m sines(time); keys and values are K and V of E_m x_m, with E_m: D_m -> dim.
    A learned number per head and input is added to the scores of that input's tokens (its gate). Then y = queries +
    Out(attention) and z = LayerNorm(y + FFN(LayerNorm(y))). Attention as Vaswani et al. 2017, arXiv 1706.03762,
    section 3.2.2, with learned queries as in the Perceiver (Jaegle et al. 2021, arXiv 2103.03206, section 3.1); the
    operator (`kernels/absorbed_cross_modal`) picks the cheapest order of its products; on a GPU it runs in Triton.
    `attribution [B, M]` is the attention that each input received, averaged over heads and queries.
    """

    def __init__(self, config: CrossAttentionConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.heads, self.times, width = config.head_count(inputs), config.times, output.dim
        self.when = nn.ModuleList(nn.Linear(SINES, spec.dim, bias=False) for spec in inputs.values() if self.times)
        self.norms = nn.ModuleList(nn.LayerNorm(spec.dim) for spec in inputs.values())
        self.read = nn.ModuleList(nn.Linear(spec.dim, width) for spec in inputs.values())
        self.queries = nn.Parameter(torch.randn(1, config.queries, width) * width**-0.5)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.gates = nn.Parameter(torch.zeros(self.heads, len(inputs))) if config.gates else None
        self.feed_forward = FeedForward(width, config.expansion)
        self.norm = nn.LayerNorm(width)
        self.fold = Fold()

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        values = [norm(source.zeroed()) for norm, source in zip(self.norms, tokens, strict=True)]
        if self.times:
            values = [
                value + when(time_sines(source).to(value.dtype))
                for value, when, source in zip(values, self.when, tokens, strict=True)
            ]
        weights = FusionWeights(
            inputs=tuple(_tensors(self.read, "weight")),
            input_biases=tuple(_tensors(self.read, "bias")),
            query=self.query.weight,
            query_bias=self.query.bias,
            key=self.key.weight,
            key_bias=self.key.bias,
            value=self.value.weight,
            value_bias=self.value.bias,
            out=self.out.weight,
            out_bias=self.out.bias,
        )
        attended, mass = absorbed_cross_modal_attention(
            self.queries,
            values,
            weights,
            num_heads=self.heads,
            masks=[source.mask for source in tokens],
            gates=self.gates,
            cache=self.fold,
        )
        fused = self.queries + attended
        fused = self.norm(fused + self.feed_forward(fused))
        share = mass.detach().mean(dim=(1, 2)) if len(self.names) > 1 else None
        mask = present.any(dim=1, keepdim=True).expand(-1, fused.shape[1])
        return Tokens(fused, mask, None, share)


def _tensors(layers: nn.ModuleList, name: str) -> list[Tensor]:
    return [layer.get_parameter(name) for layer in layers]
