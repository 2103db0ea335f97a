"""Options and interface of the fuser `perceiver`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import MOST_INPUTS, QueriesConfig, layer
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="perceiver",
    config=f"{__name__}:PerceiverConfig",
    target="affectgpt.plugins.fusers.perceiver:Perceiver",
    summary="learned latents read the inputs' tokens and themselves in layers (resampler)",
    citation="Flamingo: Alayrac et al., 2022, arXiv:2204.14198; Perceiver: Jaegle et al., 2021, arXiv:2103.03206",
)


class PerceiverConfig(QueriesConfig):
    """`perceiver`: learned queries (latents) read the tokens of all inputs, and themselves, in layers."""

    # The latents are one more sequence for the attention operator.
    arity: ClassVar[tuple[int, int | None]] = (1, MOST_INPUTS - 1)

    layers: int = Field(default=2, ge=1, description="layers")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return self.embedding(inputs) + self.queries * width + self.layers * layer(width) + 2 * width
