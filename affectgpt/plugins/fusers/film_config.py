"""Options and interface of the fuser `film`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.contracts import FuserConfig
from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.plugins.fusers.bases import linear
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="film",
    config=f"{__name__}:FilmConfig",
    target="affectgpt.plugins.fusers.film:Film",
    summary="the first input's tokens, scaled and shifted by the others",
    citation="FiLM: Perez et al., 2018, arXiv:1709.07871",
)


class FilmConfig(FuserConfig, defer_build=True):
    """`film`: the first input's tokens, scaled and shifted feature by feature by the other inputs."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    hidden: int = Field(default=64, gt=0, description="width between the other inputs and the scales")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        first = next(iter(inputs.values()))
        return first.model_copy(update={"modality": joined_modality(dict(inputs))})

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        first, *conditions = inputs.values()
        return linear(sum(spec.dim for spec in conditions), self.hidden) + linear(self.hidden, 2 * first.dim)
