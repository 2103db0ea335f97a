"""A clip of arrays that are in memory: what a program made or read itself."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from numbers import Real
from pathlib import Path

import numpy as np

from affectgpt.media.clip import SAMPLE_RATE, Clip, Pictures
from affectgpt.media.faces import FaceDetector, HaarFaceDetector
from affectgpt.media.sampling import Resampling, Spread, sample_indices
from affectgpt.registry.errors import ConfigError

ARRAYS = Path("<arrays>")
"""The `path` of such a clip."""

FRAME_RATES = (0.001, 10_000)
SAMPLE_RATES = (100, 768_000)
"""Rates in Hz that are taken; those of sound as in files."""


class ArrayClip(Clip):
    """See [Clip.from_arrays][]."""

    def __init__(
        self,
        frames: np.ndarray | None,
        frame_rate: float,
        faces: np.ndarray | None,
        waveform: np.ndarray | None,
        sample_rate: int,
        subtitle: str,
        extra: Mapping[str, str | Path],
        detector: FaceDetector | None = None,
    ) -> None:
        """Raises ConfigError for a wrong shape, dtype or range, and when there is nothing to see or hear."""
        if frames is None and faces is None and waveform is None:
            raise ConfigError("a clip of arrays needs frames, faces or a waveform", where="Clip.from_arrays")
        _check_rate("frame_rate", frame_rate, FRAME_RATES)
        _check_rate("sample_rate", sample_rate, SAMPLE_RATES)
        if sample_rate != int(sample_rate):
            raise ConfigError("the rate is not a whole number", where="sample_rate", found=repr(sample_rate))
        if not isinstance(subtitle, str):
            raise ConfigError(
                "the subtitle is not a text",
                where="subtitle",
                found=type(subtitle).__name__,
                expected='a text, "" without one',
            )
        self.path = ARRAYS
        self.has_video = frames is not None
        self.has_audio = waveform is not None
        self.subtitle = subtitle
        self.notes = [] if self.has_audio else ["no sound"]
        # Of a scalar of NumPy, which no fraction is made of.
        self._rate = Fraction(frame_rate if isinstance(frame_rate, Fraction) else float(frame_rate))
        self._images = _checked_pictures("frames", frames)
        self._face_images = _checked_pictures("faces", faces)
        self._samples = _checked_waveform(waveform)
        self._sample_rate = int(sample_rate)
        self._extra = _checked_files(extra)
        self._detector = detector or HaarFaceDetector()
        self._frames = {}
        self._faces = {}
        self._waveforms = {}
        self._voices = {}
        pictures = self._images if self._images is not None else self._face_images
        if pictures is not None:
            self.duration = len(pictures) / frame_rate
        elif self._samples is not None:
            self.duration = len(self._samples) / sample_rate

    def frames(self, count: int, spread: Spread = "middles") -> Pictures | None:
        """As [Clip.frames][]; frame k is shown from `k / frame_rate` on."""
        if count < 1:
            raise ValueError(f"count must be at least 1, found {count}")
        return None if self._images is None else self._pictures(self._images, count, spread)

    def _has_stored_faces(self) -> bool:
        return self._face_images is not None

    def _read_stored_faces(self, count: int, spread: Spread) -> Pictures | None:
        assert self._face_images is not None
        return self._pictures(self._face_images, count, spread)

    def _read_waveform(self, resampling: Resampling) -> np.ndarray | None:
        from affectgpt.media.sound import resample

        assert self._samples is not None
        return resample(self._samples, self._sample_rate, SAMPLE_RATE, resampling)

    def _pictures(self, images: np.ndarray, count: int, spread: Spread) -> Pictures:
        times = [index / self._rate for index in range(len(images))]
        indices = sample_indices(times, len(images) / self._rate, count, spread)
        frame_times = np.asarray([float(times[index]) for index in indices], dtype=np.float32)
        return Pictures([images[index] for index in indices], frame_times)


def _check_rate(name: str, rate: float, bounds: tuple[float, float]) -> None:
    is_number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not is_number or not bounds[0] <= rate <= bounds[1]:
        raise ConfigError(
            "the rate is out of range", where=name, found=repr(rate), expected=f"{bounds[0]} to {bounds[1]:,} Hz"
        )


def _checked_files(extra: Mapping[str, str | Path]) -> dict[str, Path]:
    if not isinstance(extra, Mapping) or not all(isinstance(path, str | Path) for path in extra.values()):
        raise ConfigError(
            "these are no further files", where="extra", found=repr(extra), expected="a mapping of names to paths"
        )
    return {name: Path(path) for name, path in extra.items()}


def _as_array(name: str, values: object) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        # Lists of unequal lengths; a tensor on a GPU, or with a gradient.
        raise ConfigError(
            "this is no array", where=name, found=str(error).splitlines()[0], expected="an array of NumPy"
        ) from None


def _checked_pictures(name: str, images: np.ndarray | None) -> np.ndarray | None:
    if images is None:
        return None
    images = _as_array(name, images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise ConfigError(
            "the pictures are of another kind",
            where=name,
            found=f"shape {list(images.shape)} of {images.dtype}",
            expected="uint8 [T, H, W, 3], RGB, T, H and W at least 1",
        )
    return images


def _checked_waveform(waveform: np.ndarray | None) -> np.ndarray | None:
    if waveform is None:
        return None
    waveform = _as_array("waveform", waveform)
    if waveform.dtype != np.float32 or waveform.ndim != 1 or not waveform.size:
        raise ConfigError(
            "the waveform is of another kind",
            where="waveform",
            found=f"shape {list(waveform.shape)} of {waveform.dtype}",
            expected="float32 [S], mono, S at least 1",
        )
    if not np.isfinite(waveform).all() or np.abs(waveform).max() > 1:
        raise ConfigError(
            "the waveform has samples beyond full scale",
            where="waveform",
            found=f"from {waveform.min()} to {waveform.max()}",
            expected="finite samples in [-1, 1]",
        )
    return waveform
