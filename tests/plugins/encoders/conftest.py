"""A clip in memory with the readings that encoders ask for, and the reference tensors."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray


@dataclass
class FakePictures:
    images: list[NDArray[np.uint8]]
    times: NDArray[np.float32]


@dataclass
class FakeClip:
    """`pictures` frames (also the faces) and `sound`; None or 0 stands for a stream that is not there."""

    pictures: list[NDArray[np.uint8]] | None = None
    sound: NDArray[np.float32] | None = None

    @property
    def duration(self) -> float:
        return 4.0

    def frames(self, count: int, spread: str = "middles") -> FakePictures | None:
        if self.pictures is None:
            return None
        text = self.pictures[:count]
        return FakePictures(text, np.arange(len(text), dtype=np.float32) / 2)

    faces = frames

    def waveform(self, resampling: str = "libav") -> NDArray[np.float32] | None:
        return self.sound


def noise_clip(seed: int, pictures: int, seconds: float, size: tuple[int, int] = (40, 52)) -> Any:
    """Random pictures and sound."""
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(pictures)]
    return FakeClip(images or None, random.standard_normal(round(seconds * 16000)).astype(np.float32) * 0.1)


@pytest.fixture(scope="session")
def fake_clip() -> type[FakeClip]:
    return FakeClip


@pytest.fixture(scope="session")
def noise() -> Callable[..., Any]:
    return noise_clip


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Tensors computed by the released code, kept beside the repository."""
    root = os.environ.get("AFFECTGPT_SHARED") or Path(__file__).parents[3].parent / "shared"
    folder = Path(root) / "oracle"
    if not folder.is_dir():
        pytest.skip(f"no reference tensors in {folder}; AFFECTGPT_SHARED names another place")
    return folder


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_other_models(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No model of this machine is found, and nothing is downloaded."""
    from huggingface_hub import constants

    monkeypatch.delenv("AFFECTGPT_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
