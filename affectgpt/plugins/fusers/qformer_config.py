"""Options and interface of the fuser `qformer`. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.fusers.bases import MOST_QUERIES, QueriesConfig, attention, linear
from affectgpt.registry.errors import InterfaceError
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="fuser",
    name="qformer",
    config=f"{__name__}:QFormerConfig",
    target="affectgpt.plugins.fusers.qformer:QFormer",
    summary="learned queries read the inputs' tokens in layers, AffectGPT's Q-Former",
    citation="AffectGPT: Lian et al., 2025, arXiv:2501.16566; Q-Former: Li et al., 2023, arXiv:2301.12597",
)


class QFormerConfig(QueriesConfig):
    """`qformer`: a Q-Former, layers of self-attention over learned queries and cross-attention to the inputs' tokens.

    The defaults are AffectGPT's except for the width and the positions, where AffectGPT has `dim: 768` and 32
    positions for faces, 8 for sound and 264 for both.
    """

    queries: int = Field(default=32, ge=1, le=MOST_QUERIES, description="learned queries, one token each")
    layers: int = Field(default=2, ge=1, description="layers")
    intermediate: int | None = Field(default=None, gt=0, description="feed-forward width; default: 4 times dim")
    positions: int | None = Field(
        default=None, gt=0, description="rows of the table of positions; default: as many as the inputs have tokens"
    )
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="in training, of attention weights and of each layer's result"
    )

    def position_count(self, inputs: Mapping[str, TokenSpec]) -> int:
        """Rows of the table of positions. Raises InterfaceError when the inputs have more tokens."""
        tokens = sum(spec.tokens for spec in inputs.values())
        if self.positions is not None and self.positions < tokens:
            raise InterfaceError(
                "there are fewer positions than tokens",
                found=f"positions: {self.positions}",
                expected=f"at least {tokens}, the tokens of {' and '.join(inputs)}",
            )
        return self.positions or tokens

    def source_width(self, inputs: Mapping[str, TokenSpec]) -> int:
        """The width of the tokens that the queries attend to: that of the widest input."""
        return max(spec.dim for spec in inputs.values())

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        self.position_count(inputs)
        return super().infer(inputs)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        width, source = self.width(inputs), self.source_width(inputs)
        inner = self.intermediate or 4 * width
        projections = sum(linear(spec.dim, source) for spec in inputs.values()) if len(inputs) > 1 else 0
        block = attention(width) + attention(width, source) + linear(width, inner) + linear(inner, width)
        outer = self.queries * width + 2 * width + self.position_count(inputs) * source
        return projections + outer + self.layers * (block + 6 * width)
