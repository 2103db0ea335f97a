"""`qformer`: AffectGPT's Q-Former, as compression of one modality or as pre-fusion of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention import Attention
from affectgpt.plugins.fusers.pooling import present_inputs
from affectgpt.plugins.fusers.qformer_config import QFormerConfig

_EPSILON = 1e-12  # of BERT's layer norms


class QFormer(nn.Module):
    """Inputs `[B, T_m, D_m]` -> learned queries after the layers, `[B, queries, dim]`.

    Per layer, each followed by dropout, a residual sum and a layer norm: self-attention of the
    queries, attention from the queries to all tokens, a feed-forward layer with GELU (BLIP-2, Li et al. 2023,
    arXiv 2301.12597, section 3.1, over BERT). Several inputs are first brought to one width, and a learned position is
    added to each token: its index among the clip's real tokens, counted through the inputs in their order (AffectGPT,
    arXiv 2501.16566, section 3). `attribution [B, M]` is the attention that each input received, averaged over
    layers, heads and queries.
    """

    def __init__(self, config: QFormerConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        width, source_width = output.dim, config.source_width(inputs)
        projected = list(inputs.values()) if len(inputs) > 1 else []
        self.projections = nn.ModuleList(nn.Linear(spec.dim, source_width) for spec in projected)
        self.positions = nn.Embedding(config.position_count(inputs), source_width)
        self.queries = nn.Parameter(torch.empty(1, config.queries, width).normal_(std=0.02))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        inner, heads = config.intermediate or 4 * width, config.head_count(inputs)
        self.layers = nn.ModuleList(
            _Layer(width, source_width, inner, heads, config.dropout) for _ in range(config.layers)
        )

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        sources, present = present_inputs(inputs, self.names)
        masks = [source.valid() for source in sources]
        tokens = self._add_positions([source.zeroed() for source in sources], masks)
        queries = self.dropout(self.norm(self.queries)).expand(masks[0].shape[0], -1, -1)
        shares = []
        for layer in self.layers:
            queries, mass = layer(queries, tokens, masks)
            shares.append(mass.detach().mean(dim=(1, 2)))
        attribution = torch.stack(shares).mean(dim=0) if len(self.names) > 1 else None
        mask = present.any(dim=1, keepdim=True).expand(-1, queries.shape[1])
        return Tokens(queries, mask, None, attribution)

    def _add_positions(self, values: list[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        if len(self.projections):
            values = [layer(source) for layer, source in zip(self.projections, values, strict=True)]
        positions = torch.cat(list(masks), dim=1).cumsum(dim=1).sub(1).clamp(min=0)
        lengths = [mask.shape[1] for mask in masks]
        rows = torch.split(positions, lengths, dim=1)
        return [source + self.positions(row) for source, row in zip(values, rows, strict=True)]


class _Layer(nn.Module):
    def __init__(self, width: int, source_width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ask, self.ask_norm = Attention(width, heads), nn.LayerNorm(width, eps=_EPSILON)
        self.read, self.read_norm = Attention(width, heads, source_width), nn.LayerNorm(width, eps=_EPSILON)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.narrow_norm = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, queries: Tensor, tokens: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`queries [B, Q, D]`, `tokens[m] [B, T_m, R]` -> queries `[B, Q, D]` and mass `[B, H, Q, M]`."""
        attended = self.ask(queries, queries, dropout=self.dropout.p if self.training else 0.0)
        queries = self.ask_norm(queries + self.dropout(attended))
        attended, mass = self.read.attend_sequences(queries, tokens, masks)
        queries = self.read_norm(queries + self.dropout(attended))
        fed_forward = self.narrow(functional.gelu(self.widen(queries)))
        return self.narrow_norm(queries + self.dropout(fed_forward)), mass
