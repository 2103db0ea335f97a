"""The module of `highway`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt import Tokens, TokenSpec
from affectgpt_highway.config import HighwayConfig


class Highway(nn.Module):
    """Inputs `[B, T_m, D_m]` -> `[B, 1, D]`: h = mean of the A_m x_m, then per layer h = g * relu(W h) + (1 - g) * h.

    x_m is the mean over real tokens and g = sigmoid(G h) (Srivastava et al. 2015, arXiv 1505.00387, equation 3; the
    gates' biases start at -carry, as in its section 2.2). An input that a clip lacks is left out of the mean.
    `attribution [B, M]` is the share of each ||A_m x_m||.
    """

    def __init__(self, config: HighwayConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        width = output.dim
        self.read = nn.ModuleList(nn.Linear(spec.dim, width) for spec in inputs.values())
        self.transforms = nn.ModuleList(nn.Linear(width, width) for _ in range(config.layers))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(config.layers))
        for gate in self.gates:
            nn.init.constant_(gate.bias, -config.carry)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        parts, entries = [], []
        for name, read in zip(self.names, self.read, strict=True):
            valid, values = inputs[name].valid(), inputs[name].zeroed()
            mean = values.sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp(min=1)
            entries.append(valid.any(dim=1, keepdim=True))
            parts.append(read(mean) * entries[-1])
        present = torch.cat(entries, dim=1)
        item = torch.stack(parts, dim=1)
        fused = item.sum(dim=1) / present.sum(dim=1, keepdim=True).clamp(min=1)
        for transform, gate in zip(self.transforms, self.gates, strict=True):
            opened = gate(fused).sigmoid()
            fused = opened * transform(fused).relu() + (1 - opened) * fused
        size = item.detach().float().norm(dim=-1)
        share = size / size.sum(dim=1, keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)
        return Tokens(fused[:, None], present.any(dim=1, keepdim=True), None, share)
