"""Options and interface of `highway`. No torch: pipelines are checked with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt import FuserConfig, TokenSpec


class HighwayConfig(FuserConfig):
    """`highway`: one token from one or more inputs, through layers that each may be passed by."""

    arity: ClassVar[tuple[int, int | None]] = (1, None)

    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")
    layers: int = Field(default=2, ge=1, description="highway layers")
    carry: float = Field(default=1.0, description="how far the gates start out closed: they open at sigmoid(-carry)")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        streams = dict.fromkeys(part for spec in inputs.values() for part in spec.modality.split("+"))
        return TokenSpec(modality="+".join(streams), dim=self.width(inputs), tokens=1)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return sum((spec.dim + 1) * width for spec in inputs.values()) + self.layers * 2 * (width + 1) * width
