"""Language models that each break one promise. The check that is meant to catch each is its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectgpt import TokenSpec, llm
from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig


class WiderConfig(CausalLMConfig):
    def infer(self) -> TokenSpec:
        spec = super().infer()
        return spec.model_copy(update={"dim": spec.dim + 1})


@llm("declared-interface", config=WiderConfig)
class Wider(CausalLM):
    """Narrower than declared."""


class MiscountedConfig(CausalLMConfig):
    def parameters(self) -> int:
        return 5


@llm("declared-parameters", config=MiscountedConfig)
class Miscounted(CausalLM):
    """Counts its weights wrongly."""


@llm("text-round-trip", config=CausalLMConfig)
class Lossy(CausalLM):
    """Loses capitals."""

    def decode(self, ids: Any) -> str:
        return super().decode(ids).lower()


@llm("end-marker", config=CausalLMConfig)
class Injected(CausalLM):
    """Reads markers in a user's text as markers."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        return super().encode(text, special=True)


@llm("padding-side", config=CausalLMConfig)
class Unmasked(CausalLM):
    """Attends to padding."""

    def logits(self, embeds: Tensor, mask: Tensor) -> Tensor:
        return super().logits(embeds, torch.ones_like(mask))


@llm("greedy-generation", config=CausalLMConfig)
class WithEnd(CausalLM):
    """Leaves the end marker in its answers."""

    def generate(self, *arguments: Any, **options: Any) -> list[list[int]]:
        return [[*row, self.end_ids()[0]] for row in super().generate(*arguments, **options)]


@llm("stop-texts", config=CausalLMConfig)
class Hasty(CausalLM):
    """Stops too early where there is a stop text."""

    def generate(self, embeds: Tensor, mask: Tensor, settings: Any, *, seeds: Any = None) -> list[list[int]]:
        rows = super().generate(embeds, mask, settings, seeds=seeds)
        return [row[:1] for row in rows] if settings.stop else rows


@llm("sampled-generation", config=CausalLMConfig)
class OneSeed(CausalLM):
    """Lets the draw of a row depend on its company."""

    def generate(self, embeds: Tensor, mask: Tensor, settings: Any, *, seeds: Any = None) -> list[list[int]]:
        seeds = seeds and [sum(seeds) + row for row, _ in enumerate(seeds)]
        return super().generate(embeds, mask, settings, seeds=seeds)


@llm("streaming", config=CausalLMConfig)
class Stammering(CausalLM):
    """Loses the first token when it streams."""

    def generate(self, embeds: Tensor, mask: Tensor, settings: Any, *, seeds: Any = None) -> list[list[int]]:
        steps = list(super().stream(embeds, mask, settings, seeds=seeds))
        return [[each for each in row if each is not None] for row in zip(*steps, strict=True)]

    def stream(self, *arguments: Any, **options: Any) -> Any:
        steps = super().stream(*arguments, **options)
        next(steps)
        return steps


@llm("answer-losses", config=CausalLMConfig)
class Shifted(CausalLM):
    """Takes the losses one position too early."""

    def token_losses(self, embeds: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        return super().token_losses(embeds, mask, targets.roll(-1, dims=1))


@llm("finite-gradients", config=CausalLMConfig)
class Detached(CausalLM):
    """Passes no gradient on to the prompt."""

    def logits(self, embeds: Tensor, mask: Tensor) -> Tensor:
        return super().logits(embeds.detach(), mask) + embeds[mask].sum() * 0


@llm("state-dict", config=CausalLMConfig)
class Unsaved(CausalLM):
    """Keeps a random factor as a plain attribute."""

    def __init__(self, config: Any, output: TokenSpec) -> None:
        super().__init__(config, output)
        self.factor = torch.rand(()) + 0.5

    def logits(self, embeds: Tensor, mask: Tensor) -> Tensor:
        return super().logits(embeds, mask) * self.factor


@llm("config-json", config=CausalLMConfig)
class NothingSaved(CausalLM):
    """Says that it saved a tokenizer, and did not."""

    def save_assets(self, folder: Path) -> dict[str, str]:
        return {"tokenizer": "tokenizer"}
