"""Options and interface of the fuser `tfn`. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import PooledConfig, linear
from affectgpt.registry.errors import InterfaceError
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="tfn",
    config=f"{__name__}:TensorFusionConfig",
    target="affectgpt.plugins.fusers.tensor_fusion:TensorFusion",
    summary="every product of features of the inputs (tensor fusion)",
    citation="TFN: Zadeh et al., 2017, arXiv:1707.07250",
)


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
