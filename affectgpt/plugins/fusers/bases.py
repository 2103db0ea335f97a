"""Bases of the built-in fusers' configs, and the number of weights of layers that they share. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.contracts import FuserConfig
from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.registry.errors import InterfaceError

WIDEST_HEAD, MOST_INPUTS, MOST_QUERIES = 256, 8, 128
"""Limits of the attention operator: width of a head, token sequences, queries."""
SINES = 16
"""Sines and cosines that encode a token's time."""


def linear(inputs: int, outputs: int) -> int:
    """Weights and biases of a linear layer."""
    return (inputs + 1) * outputs


def attention(width: int, source_width: int | None = None) -> int:
    """Weights of multi-head attention of `width` over tokens of width `source_width`."""
    return 2 * linear(width, width) + 2 * linear(source_width or width, width)


def layer(width: int) -> int:
    """Weights of a transformer layer: two norms, attention, and a feed-forward layer four times as wide."""
    return 4 * width + attention(width) + linear(width, 4 * width) + linear(4 * width, width)


class RepeatedTokenConfig(FuserConfig, defer_build=True):
    """A fuser with one token per clip, which `copies` repeats."""

    copies: int = Field(
        default=1, ge=1, le=256, description="how many times the token is repeated, as the released AffectGPT does"
    )


class WidestInputConfig(FuserConfig, defer_build=True):
    """A fuser whose result has the width `dim`, or that of its widest input."""

    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())


class PooledConfig(WidestInputConfig):
    """One token from the averages over time of two or more inputs."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=1)


class AttentionConfig(WidestInputConfig):
    """Attention over tokens that are all brought to one width."""

    heads: int | None = Field(default=None, gt=0, description="attention heads; default: one per 64 of the width")

    def head_count(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The number of heads. Raises InterfaceError when they do not divide the width."""
        width = self.width(inputs)
        heads = self.heads or max(1, width // 64)
        if width % heads or width // heads > WIDEST_HEAD:
            raise InterfaceError(
                "the heads do not fit the width",
                found=f"{heads} heads of a width of {width}",
                expected=f"a number that divides {width}, heads at most {WIDEST_HEAD} wide",
                hint="set heads or dim",
            )
        return heads

    def embedding(self, inputs: Mapping[str, TokenSpec]) -> int:
        """Weights that bring all inputs to one width and add their times to them."""
        width = self.width(inputs)
        return sum(2 * spec.dim + linear(spec.dim, width) + SINES * width for spec in inputs.values())

    def spec(self, inputs: Mapping[str, TokenSpec], tokens: int) -> TokenSpec:
        """`tokens` tokens about all inputs. Raises InterfaceError when the heads do not divide the width."""
        self.head_count(inputs)
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=tokens)


class QueriesConfig(AttentionConfig):
    """Learned queries that read the tokens of all inputs; the result has one token per query."""

    arity: ClassVar[tuple[int, int | None]] = (1, MOST_INPUTS)

    queries: int = Field(default=8, ge=1, le=MOST_QUERIES, description="learned queries, one token each")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return self.spec(inputs, self.queries)
