"""Fusers that each break one promise, and nothing else. The check that is meant to catch each is its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import field_serializer
from torch import Tensor, nn

from affectgpt import FuserConfig, Tokens, TokenSpec, fuser


class GoodConfig(FuserConfig):
    """One token as wide as the widest input."""

    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return TokenSpec(modality="+".join(inputs), dim=max(spec.dim for spec in inputs.values()), tokens=1)

    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int | None:
        width = max(spec.dim for spec in inputs.values())
        return sum((spec.dim + 1) * width for spec in inputs.values())


@fuser("good", config=GoodConfig)
class Good(nn.Module):
    """The sum of the inputs' projected means; keeps every promise. The others change one of its steps."""

    def __init__(self, config: Any, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.read = nn.ModuleList(nn.Linear(spec.dim, output.dim) for spec in inputs.values())

    def mean(self, tokens: Tokens) -> Tensor:
        count = tokens.valid().sum(dim=1, keepdim=True).clamp(min=1)
        return tokens.zeroed().sum(dim=1) / count

    def sequences(self, inputs: Mapping[str, Tokens]) -> list[Tokens]:
        return [inputs[name] for name in self.names]

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        parts = []
        for read, tokens in zip(self.read, sequences, strict=True):
            parts.append(read(self.mean(tokens)) * tokens.valid().any(dim=1, keepdim=True))
        return torch.stack(parts).sum(dim=0)

    def share(self, sequences: list[Tokens]) -> Tensor | None:
        return None

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        sequences = self.sequences(inputs)
        present = torch.stack([tokens.valid().any(dim=1) for tokens in sequences], dim=1)
        return Tokens(self.fuse(sequences)[:, None], present.any(dim=1, keepdim=True), None, self.share(sequences))


class TwoTokensConfig(GoodConfig):
    def infer(self, inputs: Mapping[str, TokenSpec]) -> TokenSpec:
        return super().infer(inputs).model_copy(update={"tokens": 2})


@fuser("declared-interface", config=TwoTokensConfig)
class OneTokenLess(Good):
    """Declares two tokens and gives one."""


class MiscountedConfig(GoodConfig):
    def parameters(self, inputs: Mapping[str, TokenSpec]) -> int:
        return 5


@fuser("declared-parameters", config=MiscountedConfig)
class Miscounted(Good):
    """Counts its weights wrongly."""


@fuser("padding-content", config=GoodConfig)
class TimesMask(Good):
    """0 times NaN is NaN."""

    def mean(self, tokens: Tokens) -> Tensor:
        valid = tokens.valid()[..., None]
        return (tokens.values * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


@fuser("more-padding", config=GoodConfig)
class MeanOfAll(Good):
    """Divides by the padded length."""

    def mean(self, tokens: Tokens) -> Tensor:
        return tokens.zeroed().mean(dim=1)


@fuser("input-order", config=GoodConfig)
class AsTheyCome(Good):
    """Takes the mapping's order for that of the config."""

    def sequences(self, inputs: Mapping[str, Tokens]) -> list[Tokens]:
        return list(inputs.values())


@fuser("batch-rows", config=GoodConfig)
class Centred(Good):
    """Subtracts the batch's mean, half of it, so that a clip alone is not 0."""

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        fused = super().fuse(sequences)
        return fused - 0.5 * fused.mean(dim=0)


@fuser("absent-input", config=GoodConfig)
class ZeroByZero(Good):
    """Divides by 0 where there is no token."""

    def mean(self, tokens: Tokens) -> Tensor:
        return tokens.zeroed().sum(dim=1) / tokens.valid().sum(dim=1, keepdim=True)


class WithoutCountConfig(GoodConfig):
    def parameters(self, inputs: Mapping[str, TokenSpec]) -> None:
        return None


@fuser("every-input-counts", config=WithoutCountConfig)
class FirstOnly(Good):
    """Looks at the first input alone (and keeps no weights for the others)."""

    def __init__(self, config: Any, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__(config, inputs, output)
        self.read = self.read[:1]

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        return super().fuse(sequences[:1])


@fuser("parameter-gradients", config=WithoutCountConfig)
class Idle(Good):
    """Has a layer that is never used."""

    def __init__(self, config: Any, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__(config, inputs, output)
        self.idle = nn.Linear(2, 2)


@fuser("repeated-backward", config=GoodConfig)
class Counting(Good):
    """Grows with every call in training."""

    calls = 0

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        self.calls += self.training
        return super().fuse(sequences) * (1 + self.calls)


@fuser("deterministic-evaluation", config=GoodConfig)
class Noisy(Good):
    """Draws a number also in evaluation."""

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        return super().fuse(sequences) * (1 + torch.rand(()))


@fuser("untouched-inputs", config=GoodConfig)
class Cleaning(Good):
    """Cleans the padding in place."""

    def mean(self, tokens: Tokens) -> Tensor:
        tokens.values.data.masked_fill_(~tokens.valid()[..., None], 0.0)
        return super().mean(tokens)


@fuser("state-dict", config=GoodConfig)
class Unsaved(Good):
    """Keeps a random factor as a plain attribute."""

    def __init__(self, config: Any, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__(config, inputs, output)
        self.factor = torch.rand(()) + 0.5

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        return super().fuse(sequences) * self.factor


class RoundedConfig(GoodConfig):
    rate: float = 0.123

    @field_serializer("rate")
    def _rounded(self, rate: float) -> float:
        return round(rate, 1)


@fuser("config-json", config=RoundedConfig)
class Rounded(Good):
    """Its config loses digits when it is written."""


@fuser("bfloat16-autocast", config=GoodConfig)
class OneDtype(Good):
    """Mixes float32 with a half-precision result in an operation that refuses it."""

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        fused = super().fuse(sequences)
        return fused.float() + 0 * torch.lerp(torch.zeros(fused.shape), self.read[0](self.mean(sequences[0])), 0.5)


@fuser("attribution-shares", config=GoodConfig)
class Overcounting(Good):
    """Shares that sum to 2."""

    def share(self, sequences: list[Tokens]) -> Tensor:
        present = torch.stack([tokens.valid().any(dim=1) for tokens in sequences], dim=1).float()
        return 2 * present / present.sum(dim=1, keepdim=True).clamp(min=1)


@fuser("compiled", config=GoodConfig)
class Branching(Good):
    """Asks for a number in the middle."""

    def fuse(self, sequences: list[Tokens]) -> Tensor:
        fused = super().fuse(sequences)
        return fused + 0 if fused.sum().item() > 0 else fused
