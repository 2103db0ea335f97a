"""Clips of a second, a pipeline small enough to build in every test, and caches made of them."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from affectgpt.core.load_config import read_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.fixed_encoders import frozen_encoders
from affectgpt.data.feature_cache.writer import Encoded, encode
from affectgpt.registry.discovery import discover

SMALL = """\
seed: 3
encoders:
  audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 2}
  face: {plugin: timm, model: resnet10t, init: random, frames: 2, size: 32, features: 24,
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
training: {steps: 5, batch_size: 2, lr: 1.0e-2, checkpoint_every: null}
presence: off
"""
ANSWERS = ("happy", "angry", "upset", "bored", "tense", "proud", "calm", "eager")


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The small pipeline's file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def plan(config: Path) -> Callable[..., Plan]:
    """Plans the small pipeline with values changed as on the command line."""

    def make(*overrides: str) -> Plan:
        catalog = discover()
        checked = read_config(config, catalog, overrides)
        return make_plan(checked)

    return make


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Seven clips of noise with stored faces; number 2 has no sound, number 5 no face. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("clips")
    return [clip(folder, index, sound=index != 2, face=index != 5) for index in range(7)]


@pytest.fixture
def own_clips(tmp_path: Path) -> Callable[..., list[Example]]:
    """Such clips for one test alone."""

    def make(count: int) -> list[Example]:
        return [clip(tmp_path / "own", index) for index in range(count)]

    return make


def clip(folder: Path, index: int, *, sound: bool = True, face: bool = True) -> Example:
    """A clip of noise that depends on `index` only."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(index)
    path, faces = folder / f"clip{index}.wav", folder / f"clip{index}.npy"
    if sound:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            length = 8000 + 1000 * (index % 4)
            file.writeframes((rng.normal(size=length) * 3000).astype("<i2").tobytes())
    else:
        path = path.with_suffix(".mp4")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(stream.encode())
    if face:
        np.save(faces, rng.integers(0, 255, (1 + index % 3, 40, 40, 3), dtype=np.uint8))
    targets = {"labels": (ANSWERS[index % 8],), "description": ANSWERS[index % 8]}
    return Example(f"clip{index}", path, f"word {index}", faces=faces if face else None, **targets)


@pytest.fixture
def encoded(plan: Callable[..., Plan], tmp_path: Path) -> Callable[..., Encoded]:
    """Encodes clips into `tmp_path / "cache"`, two at a time and two to a shard, in this process."""

    def run(examples: list[Example], *overrides: str, folder: Path | None = None, **options: Any) -> Encoded:
        arguments = {"batch_size": 2, "workers": 0, "shard_clips": 2, **options}
        names = arguments.pop("names", None)
        encoders = frozen_encoders(plan(*overrides), discover(), names)
        return encode(encoders, examples, folder or tmp_path / "cache", **arguments)

    return run
