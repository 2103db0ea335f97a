"""Options and interface of the fuser `modality-attention`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.plugins.fusers.bases import RepeatedTokenConfig, WidestInputConfig, linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="modality-attention",
    config=f"{__name__}:ModalityAttentionConfig",
    target="affectgpt.plugins.fusers.modality_attention:ModalityAttention",
    summary="several inputs to one token, weighted by what they hold",
    citation="AffectGPT: Lian et al., 2025, arXiv:2501.16566",
)


class ModalityAttentionConfig(WidestInputConfig, RepeatedTokenConfig):
    """`modality-attention`: one token, a weighted sum of the inputs' averages, weighted by their content."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    normalize: Literal["softmax", "none"] = Field(
        default="softmax", description='"none" uses the raw scores as weights, as the released AffectGPT does'
    )
    scale: float = Field(
        default=1.0, gt=0, description="factor on the scores; below 1 keeps a softmax soft at high learning rates"
    )

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=self.copies)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        projections = sum(linear(spec.dim, width) for spec in inputs.values())
        return projections + linear(count * width, width) + linear(width, count)
