"""`concat`: no fusion, the tokens of all inputs in a row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.node_modules import NodeModules
from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.concat_config import ConcatConfig


class Concat(nn.Module):
    """Inputs `[B, T_m, D_m]` -> `[B, sum of T_m, D]`; an input of another width goes through Linear(D_m -> D)."""

    def __init__(self, config: ConcatConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.widen = NodeModules(
            {name: nn.Linear(spec.dim, output.dim) for name, spec in inputs.items() if spec.dim != output.dim}
        )

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        values, masks, times = [], [], []
        for name in self.names:
            tokens = inputs[name]
            zeroed = tokens.zeroed()
            values.append(self.widen[name](zeroed) if name in self.widen else zeroed)
            masks.append(tokens.valid())
            times.append(tokens.times)
        known_times = [source for source in times if source is not None]
        return Tokens(
            torch.cat(values, dim=1),
            torch.cat(masks, dim=1),
            torch.cat(known_times, dim=1) if len(known_times) == len(times) else None,
        )
