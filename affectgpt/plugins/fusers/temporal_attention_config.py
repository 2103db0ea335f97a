"""Options and interface of the fuser `temporal-attention`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import linear
from affectgpt.plugins.fusers.mean_config import MeanConfig
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="temporal-attention",
    config=f"{__name__}:TemporalAttentionConfig",
    target="affectgpt.plugins.fusers.temporal_attention:TemporalAttention",
    summary="one input to one token, a learned score per moment",
    citation="AffectGPT: Lian et al., 2025, arXiv:2501.16566",
)


class TemporalAttentionConfig(MeanConfig):
    """`temporal-attention`: one token, a weighted sum over time with one learned score per token."""

    normalize: Literal["softmax", "none"] = Field(
        default="softmax", description='"none" uses the raw scores as weights, as the released AffectGPT does'
    )
    scale: float = Field(
        default=1.0, gt=0, description="factor on the scores; below 1 keeps a softmax soft at high learning rates"
    )

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        (spec,) = inputs.values()
        return linear(spec.dim, 1)
