"""A clip without a file: noise for pictures and sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000


@dataclass
class NoisePictures:
    """As much of `affectgpt.media.clip.Pictures` as encoders read: `images`, `[H, W, 3]` uint8, and `times [T]`."""

    images: list[NDArray[np.uint8]]
    times: NDArray[np.float32]


@dataclass
class NoiseClip:
    """As much of a [Clip][affectgpt.media.clip.Clip] as encoders read: `pictures` frames, `seconds` of sound.

    0 of either stands for a stream that the clip lacks. `level` scales the noise: 0 gives black and silence.
    """

    seed: int = 0
    pictures: int = 4
    seconds: float = 2.0
    size: tuple[int, int] = (40, 52)
    level: float = 1.0
    subtitle: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """Seconds, as long as its sound, or half a second per picture."""
        return self.seconds or self.pictures / 2

    def present(self, **rules: object) -> NoiseClip:
        """The clip itself: its noise stands for a face and a voice, whatever the rules."""
        return self

    @property
    def path(self) -> Path:
        """As of a clip of arrays: there is no such file."""
        return Path("<arrays>")

    def extra(self, name: str) -> Path | None:
        """None: the clip has no further files."""
        return None

    def is_empty(self) -> bool:
        """True without pictures and without sound."""
        return not self.pictures and not self.seconds

    def frames(self, count: int, spread: str = "middles") -> NoisePictures | None:
        """At most `count` frames, half a second apart, whatever the `spread`; None without pictures."""
        frame_count = min(count, self.pictures)
        if not frame_count:
            return None
        random = np.random.default_rng(self.seed)
        images = [(random.integers(0, 256, (*self.size, 3)) * self.level).astype(np.uint8) for _ in range(frame_count)]
        return NoisePictures(images, (np.arange(frame_count) / 2).astype(np.float32))

    def faces(self, count: int, spread: str = "middles") -> NoisePictures | None:
        """The frames, taken for face crops."""
        return self.frames(count, spread)

    def waveform(self, resampling: str = "libav") -> NDArray[np.float32] | None:
        """Mono sound at 16 kHz, float32, whatever the `resampling`; None without sound."""
        samples = round(self.seconds * RATE)
        if not samples:
            return None
        random = np.random.default_rng(self.seed)
        noise: NDArray[np.float32] = (random.standard_normal(samples) * 0.1 * self.level).astype(np.float32)
        return noise
