"""Options and interface of the fuser `cross-attention`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import SINES, QueriesConfig, attention, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="cross-attention",
    config=f"{__name__}:CrossAttentionConfig",
    target="affectgpt.plugins.fusers.cross_attention:CrossAttention",
    summary="learned queries read all inputs' tokens at once, a gate per input (Triton kernels on a GPU)",
    citation="attention: Vaswani et al., 2017, arXiv:1706.03762; Perceiver: Jaegle et al., 2021, arXiv:2103.03206",
)


class CrossAttentionConfig(QueriesConfig):
    """`cross-attention`: learned queries attend to the tokens of all inputs, with a gate per input."""

    gates: bool = Field(default=True, description="learn per head a weight for each input's tokens")
    times: bool = Field(default=True, description="add to each token sines of its time in seconds")
    expansion: int = Field(default=4, ge=1, description="width of the feed-forward layer over the width")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        sines = SINES if self.times else 0
        embedding = sum((2 + sines) * spec.dim + linear(spec.dim, width) for spec in inputs.values())
        cross = self.queries * width + attention(width) + (self.head_count(inputs) * count) * self.gates
        inner = self.expansion * width
        return embedding + cross + 2 * width + linear(width, inner) + linear(inner, width) + 2 * width
