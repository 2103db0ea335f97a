"""A clip in memory, with the three readings that encoders ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
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

    def frames(self, count: int) -> FakePictures | None:
        if self.pictures is None:
            return None
        shown = self.pictures[:count]
        return FakePictures(shown, np.arange(len(shown), dtype=np.float32) / 2)

    faces = frames

    def waveform(self) -> NDArray[np.float32] | None:
        return self.sound


def noise_clip(seed: int, pictures: int, seconds: float, size: tuple[int, int] = (40, 52)) -> Any:
    """Random pictures and sound."""
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(pictures)]
    return FakeClip(images or None, random.standard_normal(round(seconds * 16000)).astype(np.float32) * 0.1)
