"""Options and interface of the fuser `mult`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import AttentionConfig, layer, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="mult",
    config=f"{__name__}:CrossmodalConfig",
    target="affectgpt.plugins.fusers.crossmodal_transformer:CrossmodalTransformer",
    summary="a transformer from every input to every other, one token per input",
    citation="MulT: Tsai et al., 2019, arXiv:1906.00295",
)


class CrossmodalConfig(AttentionConfig):
    """`mult`: a transformer from every input to every other, then one token per input."""

    arity: ClassVar[tuple[int, int | None]] = (2, 4)

    layers: int = Field(default=2, ge=1, description="layers from one input to another")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return self.spec(inputs, len(inputs))

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        pairs = count * (count - 1) * self.layers * layer(width)
        self_attention = count * (linear((count - 1) * width, width) + layer(width))
        return self.embedding(inputs) + pairs + self_attention + 2 * width
