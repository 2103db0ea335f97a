"""Options and interface of the fuser `mbt`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import QueriesConfig, layer
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="mbt",
    config=f"{__name__}:BottleneckConfig",
    target="affectgpt.plugins.fusers.bottleneck:Bottleneck",
    summary="a transformer per input, joined by a few bottleneck tokens",
    citation="MBT: Nagrani et al., 2021, arXiv:2107.00135",
)


class BottleneckConfig(QueriesConfig):
    """`mbt`: each input has its own transformer; they exchange information through a few shared tokens."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    queries: int = Field(default=4, ge=1, description="bottleneck tokens, one token each")
    layers: int = Field(default=2, ge=1, description="layers")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        stack = self.layers * len(inputs) * layer(width)
        return self.embedding(inputs) + self.queries * width + stack + 2 * width
