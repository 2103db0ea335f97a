"""Face pictures that were cut out before, one array per clip."""

from __future__ import annotations

import os
import stat
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from affectgpt.media.limits import Limits
from affectgpt.media.sampling import Spread, frame_times, sample_indices_released
from affectgpt.registry.errors import MediaError

ChannelOrder = Literal["bgr", "rgb"]

_EXPECTED = "an array [T, H, W, 3] of uint8 in numpy's .npy format"


@dataclass(frozen=True)
class FaceArray:
    """A `.npy` file of `count` face pictures, evenly spread over its clip; `order` is that of the stored channels."""

    path: Path
    count: int
    order: ChannelOrder
    limits: Limits

    @classmethod
    def open(cls, path: Path, order: ChannelOrder, limits: Limits) -> FaceArray:
        """Check the header of `path`. Raises MediaError when it is no such array or above `limits`."""
        return cls(path, len(_open_mapped(path, limits)), order, limits)

    def pictures(self, count: int, duration: float, spread: Spread = "middles") -> tuple[list[np.ndarray], list[float]]:
        """`count` pictures evenly spaced, RGB, each once, and when each is first shown.

        Picture k of T is shown from `k * duration / T` on; number i of `count` is the one shown at
        `(i + 0.5) * duration / count`. A clip without a length has one moment: one picture. With `spread: released`
        those that the released AffectGPT takes, see
        [sample_indices_released][affectgpt.media.sampling.sample_indices_released].
        """
        stored = _open_mapped(self.path, self.limits)
        if len(stored) != self.count:
            raise MediaError("the array of faces changed while it was read", where=str(self.path))
        if spread == "released":
            indices = sample_indices_released(self.count, count)
        else:
            indices = sorted({int(time) for time in frame_times(self.count, count if duration > 0 else 1)})
        step = -1 if self.order == "bgr" else 1
        images = [np.array(stored[index][..., ::step], order="C") for index in indices]
        return images, [index * duration / self.count for index in indices]


def _open_mapped(path: Path, limits: Limits) -> np.ndarray:
    form: Any = np.lib.format
    try:
        stat_result = os.stat(path)
        if not stat.S_ISREG(stat_result.st_mode):
            raise MediaError("the array of faces is not a file", where=str(path), expected=_EXPECTED)
        if stat_result.st_size > limits.max_bytes:
            raise MediaError(
                "the array of faces is too large",
                where=str(path),
                found=f"{stat_result.st_size:,} bytes",
                expected=f"at most {limits.max_bytes:,} bytes",
                hint="raise the limit",
            )
        # Maps the file: it neither reads it whole nor unpickles, whatever its header says.
        stored: np.ndarray = form.open_memmap(path, mode="r")
    except (
        OSError,
        ValueError,
        EOFError,
        OverflowError,
        TypeError,
        SyntaxError,
        MemoryError,
        KeyError,
        RecursionError,
        tokenize.TokenError,
    ) as error:
        raise MediaError(
            "the array of faces cannot be read",
            where=str(path),
            found=str(error) or type(error).__name__,
            expected=_EXPECTED,
            hint="make it again, or leave it out: the faces are then looked for in the picture",
        ) from None
    if stored.ndim != 4 or stored.shape[3] != 3 or stored.dtype != np.uint8 or not stored.size:
        raise MediaError(
            "the array of faces is of another kind",
            where=str(path),
            found=f"shape {list(stored.shape)} of {stored.dtype}",
            expected=f"{_EXPECTED}, T, H, W at least 1",
        )
    height, width = stored.shape[1:3]
    if height * width > limits.max_pixels:
        raise MediaError(
            "the pictures of faces are too large",
            where=str(path),
            found=f"{width} x {height} pixels",
            expected=f"at most {limits.max_pixels:,} pixels each",
            hint="scale them down, or raise the limit",
        )
    return stored
