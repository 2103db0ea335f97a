"""Options and interfaces of the fusers that attend to tokens. No torch."""

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


def attention(width: int, read: int | None = None) -> int:
    """Weights of multi-head attention of `width` over tokens of width `read`."""
    return 2 * linear(width, width) + 2 * linear(read or width, width)


def layer(width: int) -> int:
    """Weights of a transformer layer: two norms, attention, and a feed-forward layer four times as wide."""
    return 4 * width + attention(width) + linear(width, 4 * width) + linear(4 * width, width)


class AttentionConfig(FuserConfig):
    """Attention over tokens that are all brought to one width."""

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
                "the heads do not fit the width",
                found=f"{heads} heads of a width of {width}",
                expected=f"a number that divides {width}, heads at most {WIDEST_HEAD} wide",
                hint="set heads or dim",
            )
        return heads

    def embedding(self, inputs: Mapping[str, TokenSpec]) -> int:
        """Weights that bring all inputs to one width and tell them their times."""
        width = self.width(inputs)
        return sum(2 * spec.dim + linear(spec.dim, width) + SINES * width for spec in inputs.values())

    def spec(self, inputs: Mapping[str, TokenSpec], tokens: int) -> TokenSpec:
        """`tokens` tokens about all inputs. Raises InterfaceError when the heads do not divide the width."""
        self.head_count(inputs)
        return TokenSpec(modality=joined_modality(dict(inputs)), dim=self.width(inputs), tokens=tokens)


class QueriesConfig(AttentionConfig):
    """Learned queries that read the tokens of all inputs: as many tokens come out as there are queries."""

    arity: ClassVar[tuple[int, int | None]] = (1, MOST_INPUTS)

    queries: int = Field(default=8, ge=1, le=MOST_QUERIES, description="learned queries, the number of tokens given")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return self.spec(inputs, self.queries)


class CrossAttentionConfig(QueriesConfig):
    """`cross-attention`: learned queries attend to the tokens of all inputs, with a gate per input."""

    gates: bool = Field(default=True, description="learn per head how much each input's tokens count")
    times: bool = Field(default=True, description="tell the tokens when they are, by sines of their time in seconds")
    expansion: int = Field(default=4, ge=1, description="width of the feed-forward layer over the width")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        told = SINES if self.times else 0
        read = sum((2 + told) * spec.dim + linear(spec.dim, width) for spec in inputs.values())
        asked = self.queries * width + attention(width) + (self.head_count(inputs) * count) * self.gates
        wide = self.expansion * width
        return read + asked + 2 * width + linear(width, wide) + linear(wide, width) + 2 * width


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
                "there are fewer positions than tokens",
                found=f"positions: {self.positions}",
                expected=f"at least {most}, the tokens of {' and '.join(inputs)}",
            )
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
        block = attention(width) + attention(width, read) + linear(width, wide) + linear(wide, width)
        outside = self.queries * width + 2 * width + self.position_count(inputs) * read
        return projections + outside + self.layers * (block + 6 * width)


class PerceiverConfig(QueriesConfig):
    """`perceiver`: learned queries (latents) read the tokens of all inputs, and themselves, in layers."""

    # The latents themselves take one of the places.
    arity: ClassVar[tuple[int, int | None]] = (1, MOST_INPUTS - 1)

    layers: int = Field(default=2, ge=1, description="layers")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        return self.embedding(inputs) + self.queries * width + self.layers * layer(width) + 2 * width


class BottleneckConfig(QueriesConfig):
    """`mbt`: each input has its own transformer; they exchange what they know through a few shared tokens."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    queries: int = Field(default=4, ge=1, description="bottleneck tokens, the number of tokens given")
    layers: int = Field(default=2, ge=1, description="layers")

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width = self.width(inputs)
        stack = self.layers * len(inputs) * layer(width)
        return self.embedding(inputs) + self.queries * width + stack + 2 * width


class CrossmodalConfig(AttentionConfig):
    """`mult`: a transformer from every input to every other, then one token per input."""

    arity: ClassVar[tuple[int, int | None]] = (2, 4)

    layers: int = Field(default=2, ge=1, description="layers from one input to another")

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return self.spec(inputs, len(inputs))

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, count = self.width(inputs), len(inputs)
        pairs = count * (count - 1) * self.layers * layer(width)
        among = count * (linear((count - 1) * width, width) + layer(width))
        return self.embedding(inputs) + pairs + among + 2 * width
