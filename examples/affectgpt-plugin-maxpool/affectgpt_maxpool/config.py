"""Interface of `maxpool`. No torch: pipelines are checked with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from affectgpt import FuserConfig, TokenSpec


class MaxPoolConfig(FuserConfig):
    """`maxpool`: one input, one token."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        (only,) = inputs.values()
        return TokenSpec(modality=only.modality, dim=only.dim, tokens=1)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        return 0
