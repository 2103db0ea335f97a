"""Options and interface of the fuser `moe`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import PooledConfig, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="moe",
    config=f"{__name__}:MixtureConfig",
    target="affectgpt.plugins.fusers.mixture_of_experts:MixtureOfExperts",
    summary="a router sends each clip to a few of several experts",
    citation="MoE: Shazeer et al., 2017, arXiv:1701.06538",
)


class MixtureConfig(PooledConfig):
    """`moe`: a mixture of experts over the concatenated inputs; a router picks `top` of them for each clip."""

    experts: int = Field(default=4, ge=2, le=64, description="expert networks")
    top: int = Field(default=2, ge=1, description="experts that a clip goes through")
    hidden: int | None = Field(default=None, gt=0, description="width inside an expert; default: that of the result")

    @model_validator(mode="after")
    def _top_at_most_experts(self) -> MixtureConfig:
        if self.top > self.experts:
            raise ValueError(f"top: {self.top} experts for each clip, but there are {self.experts}")
        return self

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        hidden = self.hidden or width
        joined = sum(spec.dim for spec in inputs.values()) + len(inputs)
        return linear(joined, self.experts) + self.experts * (linear(joined, hidden) + linear(hidden, width))
