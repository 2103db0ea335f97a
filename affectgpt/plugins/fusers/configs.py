"""Options and interfaces of the built-in fusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from affectgpt.core.contracts import FuserConfig
from affectgpt.core.token_spec import TokenSpec, joined_modality


def linear(given: int, wanted: int) -> int:
    """Weights and biases of a linear layer."""
    return (given + 1) * wanted


class CopiesConfig(FuserConfig):
    """A fuser whose one token may be given several times."""

    copies: int = Field(
        default=1, ge=1, le=256, description="how many times the token is given; the released AffectGPT repeats it"
    )


class MeanConfig(CopiesConfig):
    """`mean`: one token, the average over time of one input."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        (only,) = inputs.values()
        return TokenSpec(modality=only.modality, dim=only.dim, tokens=self.copies)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        return 0


class TemporalAttentionConfig(MeanConfig):
    """`temporal-attention`: one token, a weighted sum over time with one learned score per token."""

    normalize: Literal["softmax", "none"] = Field(
        default="softmax", description='"none" uses the raw scores as weights, as the released AffectGPT does'
    )
    scale: float = Field(
        default=1.0, gt=0, description="factor on the scores; below 1 keeps a softmax soft at high learning rates"
    )

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        (only,) = inputs.values()
        return linear(only.dim, 1)


class ModalityAttentionConfig(CopiesConfig):
    """`modality-attention`: one token, a weighted sum of the inputs' averages, weighted by what they hold."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    normalize: Literal["softmax", "none"] = Field(
        default="softmax", description='"none" uses the raw scores as weights, as the released AffectGPT does'
    )
    scale: float = Field(
        default=1.0, gt=0, description="factor on the scores; below 1 keeps a softmax soft at high learning rates"
    )
    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=self.copies)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        projections = sum(linear(spec.dim, width) for spec in inputs.values())
        return projections + linear(count * width, width) + linear(width, count)


class ConcatConfig(FuserConfig):
    """`concat`: all tokens of all inputs one after the other, no fusion; widths are made equal first."""

    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())

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
