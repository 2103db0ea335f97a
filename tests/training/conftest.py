"""A small pipeline, and samples made of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.data.samples import Sample
from affectgpt.registry.discovery import discover

SMALL = """\
seed: 3
encoders:
  audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 2}
  face: {plugin: timm, model: resnet10t, init: random, frames: 2, size: 32, frozen: true, features: 24,
         model_args: {channels: [8, 8, 16, 24], stem_width: 8}}
fusers:
  audio_tokens: {plugin: temporal-attention, inputs: [audio]}
  multi: {plugin: modality-attention, inputs: [face, audio]}
llm:
  plugin: causal-lm
  init: random
  frozen: false
  architecture: {model_type: qwen2, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1,
    num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 512, vocab_size: 260}
prompt: {template: "{multi}{audio_tokens} {subtitle} {question}", question: "Why?", max_subtitle_tokens: 20}
generation: {max_new_tokens: 8}
training: {steps: 3, batch_size: 2, lr: 1.0e-3}
presence: off
"""


@dataclass
class NoiseClip:
    """As much of a clip as the encoders above use."""

    seed: int
    duration: float = 1.0

    def waveform(self) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=round(16000 * self.duration)).astype(np.float32) * 0.1

    def faces(self, count: int) -> Any:
        rng = np.random.default_rng(self.seed)
        images = [rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(count)]
        return SimpleNamespace(images=images, times=np.arange(count, dtype=np.float32))


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Pipeline]:
    """Builds the small pipeline with values changed as on the command line."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    catalog = discover()

    def make(*overrides: str) -> Pipeline:
        config = read_config(path, catalog, overrides)
        return assemble(make_plan(config))

    return make


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("prepared") / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    pipeline = assemble(make_plan(read_config(path, discover())))
    return [pipeline.prepare(NoiseClip(index)) for index in range(6)]


@pytest.fixture
def samples(_prepared: list[dict[str, Any]]) -> list[Sample]:
    """Six clips with answers of the same number of tokens."""
    answers = ("happy", "angry", "upset", "bored", "tense", "proud")
    return [
        Sample(f"clip{index}", deepcopy(inputs), f"word {index}", answer)
        for index, (inputs, answer) in enumerate(zip(_prepared, answers, strict=True))
    ]


@dataclass(frozen=True)
class Step:
    """What the optimizer saw at one step: rate and decay by group, and the gradients in the order of the parameters."""

    lr: tuple[float, ...]
    decay: tuple[float, ...]
    gradients: dict[int, torch.Tensor]

    def norm(self) -> float:
        return float(torch.stack([each.norm() for each in self.gradients.values()]).norm())


@pytest.fixture
def steps() -> Iterator[list[Step]]:
    """Fills with a [Step][] for each step that an optimizer takes during the test."""
    calls: list[Step] = []

    def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        groups = optimizer.param_groups
        inputs = [param for group in groups for param in group["params"]]
        calls.append(
            Step(
                tuple(group["lr"] for group in groups),
                tuple(group["weight_decay"] for group in groups),
                {index: param.grad.clone() for index, param in enumerate(inputs) if param.grad is not None},
            )
        )

    handle = register_optimizer_step_pre_hook(look)
    yield calls
    handle.remove()


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)
