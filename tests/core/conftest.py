"""A pipeline small enough to build in every test, and clips made of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import save
from affectgpt.registry.catalog import Catalog

SMALL = """\
seed: 3
encoders:
  audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 4}
  face: {plugin: timm, model: test_vit, init: random, frames: 3, size: 32, frozen: false, model_args: {img_size: 32}, features: 64}
fusers:
  audio_tokens: {plugin: temporal-attention, inputs: [audio]}
  multi: {plugin: modality-attention, inputs: [face, audio]}
llm:
  plugin: causal-lm
  init: random
  frozen: false
  architecture: {model_type: qwen2, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 1024, vocab_size: 300}
prompt: {template: affectgpt, order: [multi, audio_tokens, subtitle], max_subtitle_tokens: 40}
generation: {max_new_tokens: 12}
training: {steps: 5, batch_size: 2, lr: 1.0e-3}
presence: off
"""  # noqa: E501 - one line per node, which tests take out whole


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The path of a valid pipeline file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def edited(small: Path) -> Callable[..., Path]:
    """Writes the small pipeline with pieces of text replaced."""

    def edit(*changes: tuple[str, str]) -> Path:
        text = SMALL
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        small.write_text(text, encoding="utf-8")
        return small

    return edit


@dataclass
class ArrayClip:
    """As much of a clip as encoders use, from arrays."""

    sound: np.ndarray | None
    pictures: list[np.ndarray] | None
    subtitle: str = ""
    duration: float = 2.0
    path = Path("<arrays>")
    notes = ()

    def waveform(self) -> np.ndarray | None:
        return self.sound

    def faces(self, count: int) -> object:
        if self.pictures is None:
            return None
        images = self.pictures[:count]
        return type("Pictures", (), {"images": images, "times": np.arange(len(images), dtype=np.float32)})()

    frames = faces

    def is_empty(self) -> bool:
        return self.sound is None and self.pictures is None


@pytest.fixture
def clip() -> Callable[..., ArrayClip]:
    """Makes a clip of noise; `sound=False` or `picture=False` leaves the modality out."""

    def make(seed: int = 0, *, sound: bool = True, picture: bool = True, seconds: float = 1.5) -> ArrayClip:
        rng = np.random.default_rng(seed)
        wave = rng.normal(size=int(16000 * seconds)).astype(np.float32) * 0.1
        images = [rng.integers(0, 255, (40, 40, 3), dtype=np.uint8) for _ in range(1 + seed % 3)]
        return ArrayClip(wave if sound else None, images if picture else None)

    return make


@pytest.fixture
def saved(small: Path, catalog: Catalog, tmp_path: Path) -> Path:
    """The folder of a saved model with shaken weights."""
    config = read_config(small, catalog)
    pipeline = assemble(make_plan(config))
    with torch.no_grad():
        for parameter in pipeline.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    save(pipeline, tmp_path / "model")
    return tmp_path / "model"
