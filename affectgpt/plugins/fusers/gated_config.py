"""Options and interface of the fuser `gated`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import PooledConfig, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="gated",
    config=f"{__name__}:GatedConfig",
    target="affectgpt.plugins.fusers.gated:Gated",
    summary="each input behind a gate that sees all of them",
    citation="GMU: Arevalo et al., 2017, arXiv:1702.01992",
)


class GatedConfig(PooledConfig):
    """`gated`: a gated multimodal unit, each input behind a gate that sees all of them."""

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, joined = self.width(inputs), sum(spec.dim for spec in inputs.values())
        return sum(linear(spec.dim, width) for spec in inputs.values()) + len(inputs) * linear(joined, width)
