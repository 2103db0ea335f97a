"""Options and interfaces of the fusers in which learned queries read tokens. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from affectgpt.core.contracts import FuserConfig
from affectgpt.core.token_spec import TokenSpec, joined_modality
from affectgpt.plugins.fusers.configs import linear
from affectgpt.registry.errors import InterfaceError

WIDEST_HEAD, MOST_INPUTS, MOST_QUERIES = 256, 8, 128
"""What the attention operator takes."""
SINES = 16
"""Sines and cosines that tell a token's time."""


class QueriesConfig(FuserConfig):
    """Learned queries that read the tokens of all inputs: as many tokens come out as there are queries."""

    arity: ClassVar[tuple[int, int | None]] = (1, MOST_INPUTS)

    queries: int = Field(default=8, ge=1, le=MOST_QUERIES, description="learned queries, the number of tokens given")
    dim: int | None = Field(default=None, gt=0, description="width of the result; default: the widest input")
    heads: int | None = Field(default=None, gt=0, description="attention heads; default: one per 64 of the width")

    def width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the result."""
        return self.dim or max(spec.dim for spec in inputs.values())

    def head_count(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The number of heads. Raises InterfaceError when they do not divide the width."""
        width = self.width(inputs)
        heads = self.heads or max(1, width // 64)
        if width % heads or width // heads > WIDEST_HEAD:
            raise InterfaceError(
                "the heads do not fit the width", found=f"{heads} heads of a width of {width}",
                expected=f"a number that divides {width}, heads at most {WIDEST_HEAD} wide", hint="set heads or dim",
            )  # fmt: skip
        return heads

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        self.head_count(inputs)
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=self.queries)


class CrossAttentionConfig(QueriesConfig):
    """`cross-attention`: learned queries attend to the tokens of all inputs, with a gate per input."""

    gates: bool = Field(default=True, description="learn per head how much each input's tokens count")
    times: bool = Field(default=True, description="tell the tokens when they are, by sines of their time in seconds")
    expansion: int = Field(default=4, ge=1, description="width of the feed-forward layer over the width")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        told = SINES if self.times else 0
        read = sum((2 + told) * spec.dim + linear(spec.dim, width) for spec in inputs.values())
        attention = self.queries * width + 4 * linear(width, width) + (self.head_count(inputs) * count) * self.gates
        wide = self.expansion * width
        return read + attention + 2 * width + linear(width, wide) + linear(wide, width) + 2 * width


class QFormerConfig(QueriesConfig):
    """`qformer`: a Q-Former, layers of self-attention among learned queries and cross-attention to the inputs' tokens.

    The defaults are AffectGPT's but for its width; that has `queries: 32, dim: 768` and positions of 32 (faces), 8
    (sound) and 264 (both).
    """

    queries: int = Field(default=32, ge=1, le=MOST_QUERIES, description="learned queries, the number of tokens given")
    layers: int = Field(default=2, ge=1, description="layers")
    intermediate: int | None = Field(default=None, gt=0, description="feed-forward width; default: 4 times dim")
    positions: int | None = Field(
        default=None, gt=0, description="rows of the table of positions; default: as many as the inputs have tokens"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="in training, of weights and of each layer's result")

    def position_count(self, inputs: Mapping[str, TokenSpec]) -> int:
        """Rows of the table of positions. Raises InterfaceError when the inputs have more tokens."""
        most = sum(spec.tokens for spec in inputs.values())
        if self.positions is not None and self.positions < most:
            raise InterfaceError(
                "there are fewer positions than tokens", found=f"positions: {self.positions}",
                expected=f"at least {most}, the tokens of {' and '.join(inputs)}",
            )  # fmt: skip
        return self.positions or most

    def read_width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the tokens that are attended to: the input's own, or the widest one's of several."""
        return max(spec.dim for spec in inputs.values())

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        self.position_count(inputs)
        return super().infer(inputs)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, read = self.width(inputs), self.read_width(inputs)
        wide = self.intermediate or 4 * width
        projections = sum(linear(spec.dim, read) for spec in inputs.values()) if len(inputs) > 1 else 0
        block = 6 * linear(width, width) + 2 * linear(read, width) + linear(width, wide) + linear(wide, width)
        outside = self.queries * width + 2 * width + self.position_count(inputs) * read
        return projections + outside + self.layers * (block + 6 * width)
