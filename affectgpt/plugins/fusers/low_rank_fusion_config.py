"""Options and interface of the fuser `lmf`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import PooledConfig, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="lmf",
    config=f"{__name__}:LowRankConfig",
    target="affectgpt.plugins.fusers.low_rank_fusion:LowRankFusion",
    summary="tensor fusion with weights of low rank",
    citation="LMF: Liu et al., 2018, arXiv:1806.00064",
)


class LowRankConfig(PooledConfig):
    """`lmf`: `tfn` with a weight tensor of low rank; the outer product is never built."""

    rank: int = Field(default=8, ge=1, le=256, description="rank of the weight tensor")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return sum(linear(spec.dim, self.rank * width) for spec in inputs.values()) + self.rank + width
