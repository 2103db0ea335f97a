"""Options and interface of the fuser `concat`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.plugins.fusers.bases import WidestInputConfig, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="concat",
    config=f"{__name__}:ConcatConfig",
    target="affectgpt.plugins.fusers.concat:Concat",
    summary="all tokens in a row, no fusion",
)


class ConcatConfig(WidestInputConfig):
    """`concat`: all tokens of all inputs one after the other, no fusion; widths are made equal first."""

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(
            modality=joined_modality(dict(inputs)),
            dim=self.width(inputs),
            tokens=sum(spec.tokens for spec in inputs.values()),
            exact=all(spec.exact for spec in inputs.values()),
        )

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return sum(linear(spec.dim, width) for spec in inputs.values() if spec.dim != width)
