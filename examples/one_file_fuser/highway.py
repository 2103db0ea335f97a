"""A fuser in one file: name it in a pipeline (see tiny-highway.yaml), or with `--plugin highway.py` in any command."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt import FuserConfig, Tokens, TokenSpec, fuser


class HighwayConfig(FuserConfig):
    """Takes any number of inputs and has no options of its own."""

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality="+".join(inputs), dim=max(spec.dim for spec in inputs.values()), tokens=1)


@fuser("simple-highway", config=HighwayConfig, summary="a gate between a transform and the mean of the inputs")
class Highway(nn.Module):
    """Inputs `[B, T_m, D_m]` -> g * tanh(A e) + (1 - g) * mean of the e_m, `[B, 1, D]`, with g = sigmoid(G e).

    e_m = Linear_m(mean over time), 0 where absent; e is all of them in a row (highway networks: Srivastava et al.,
    2015, arXiv:1505.00387).
    """

    def __init__(self, config: HighwayConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.widen = nn.ModuleDict({name: nn.Linear(spec.dim, output.dim) for name, spec in inputs.items()})
        self.transform = nn.Linear(len(inputs) * output.dim, output.dim)
        self.gate = nn.Linear(len(inputs) * output.dim, output.dim)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        means, counts = [], []
        for name, widen in self.widen.items():
            count = inputs[name].valid().sum(dim=1, keepdim=True)
            means.append(widen(inputs[name].zeroed().sum(dim=1) / count.clamp(min=1)) * (count > 0))
            counts.append(count)
        present = torch.cat(counts, dim=1) > 0
        together = torch.cat(means, dim=1)
        carried = sum(means) / present.sum(dim=1, keepdim=True).clamp(min=1)
        gate = self.gate(together).sigmoid()
        fused = gate * self.transform(together).tanh() + (1 - gate) * carried
        return Tokens(fused[:, None], present.any(dim=1, keepdim=True))
