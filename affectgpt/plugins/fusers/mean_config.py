"""Options and interface of the fuser `mean`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import RepeatedTokenConfig
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="mean",
    config=f"{__name__}:MeanConfig",
    target="affectgpt.plugins.fusers.mean:Mean",
    summary="one input to one token, the average over time",
)


class MeanConfig(RepeatedTokenConfig):
    """`mean`: one token, the average over time of one input."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        (spec,) = inputs.values()
        return TokenSpec(modality=spec.modality, dim=spec.dim, tokens=self.copies)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        return 0
