"""Options and interfaces of the fusers that work on the inputs' averages over time. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from affectgpt.core.contracts import FuserConfig
from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.plugins.fusers.configs import linear
from affectgpt.registry.errors import InterfaceError


class PooledConfig(FuserConfig):
    """One token from the averages over time of two or more inputs."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=1)


class TensorFusionConfig(PooledConfig):
    """`tfn`: every product of one feature per input, from reduced inputs, then a linear layer."""

    arity: ClassVar[tuple[int, int | None]] = (2, 4)
    largest: ClassVar[int] = 2**20

    reduced: int = Field(default=16, ge=1, le=256, description="features that each input is reduced to first")

    def products(self, inputs: Mapping[str, TokenSpec]) -> int:
        """Size of the outer product, `(reduced + 1) ^ M`."""
        return math.prod([self.reduced + 1] * len(inputs))

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        if self.products(inputs) > self.largest:
            raise InterfaceError(
                "the outer product of the inputs is too large",
                found=f"({self.reduced} + 1) ^ {len(inputs)} = {self.products(inputs):,} products",
                expected=f"at most {self.largest:,}",
                hint="a smaller `reduced`, or the fuser lmf",
            )
        return super().infer(inputs)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        reductions = sum(linear(spec.dim, self.reduced) for spec in inputs.values())
        return reductions + linear(self.products(inputs), self.width(inputs))


class LowRankConfig(PooledConfig):
    """`lmf`: what `tfn` computes with a weight tensor of low rank, without ever building the outer product."""

    rank: int = Field(default=8, ge=1, le=256, description="rank of the weight tensor")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return sum(linear(spec.dim, self.rank * width) for spec in inputs.values()) + self.rank + width


class GatedConfig(PooledConfig):
    """`gated`: a gated multimodal unit, each input behind a gate that sees all of them."""

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, together = self.width(inputs), sum(spec.dim for spec in inputs.values())
        return sum(linear(spec.dim, width) for spec in inputs.values()) + len(inputs) * linear(together, width)


class FilmConfig(FuserConfig):
    """`film`: the first input's tokens, scaled and shifted feature by feature by what the other inputs hold."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    hidden: int = Field(default=64, gt=0, description="width between the other inputs and the scales")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        first = next(iter(inputs.values()))
        return first.model_copy(update={"modality": joined_modality(dict(inputs))})

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        first, *others = inputs.values()
        return linear(sum(spec.dim for spec in others), self.hidden) + linear(self.hidden, 2 * first.dim)


class MixtureConfig(PooledConfig):
    """`moe`: a mixture of experts over the inputs side by side; a router picks `top` of them for each clip."""

    experts: int = Field(default=4, ge=2, le=64, description="expert networks")
    top: int = Field(default=2, ge=1, description="experts that a clip goes through")
    hidden: int | None = Field(default=None, gt=0, description="width inside an expert; default: that of the result")

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> MixtureConfig:
        if self.top > self.experts:
            raise ValueError(f"top: {self.top} experts for each clip, but there are {self.experts}")
        return self

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        hidden, given = self.hidden or width, sum(spec.dim for spec in inputs.values()) + len(inputs)
        return linear(given, self.experts) + self.experts * (linear(given, hidden) + linear(hidden, width))
