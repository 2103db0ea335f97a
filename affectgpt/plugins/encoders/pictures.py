"""Resize the pictures of a clip to square uint8 tensors, and normalise those."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from affectgpt.core.tokens import Prepared
from affectgpt.registry.errors import CheckpointError

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip

# Mean and standard deviation of the pictures that CLIP was trained on (Radford et al. 2021, its public code).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Fit: TypeAlias = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


def square(
    picture: NDArray[np.uint8], size: int, filter: Image.Resampling = Image.Resampling.BICUBIC
) -> NDArray[np.uint8]:
    """`[H, W, 3]` uint8 -> `[size, size, 3]`: the shorter edge resized to `size` by `filter`, then the middle.

    As CLIP's own preprocessing. Only the middle is computed, so a picture of 1 x 100000 is as
    cheap as another.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    if height == width == size:
        return picture
    wide, high = int(size * width / short), int(size * height / short)
    x0, y0 = (wide - size) // 2, (high - size) // 2
    x_scale, y_scale = width / wide, height / high
    box = (x0 * x_scale, y0 * y_scale, min((x0 + size) * x_scale, width), min((y0 + size) * y_scale, height))
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize((size, size), filter, box=box)
    return np.asarray(resized, dtype=np.uint8)


def without_far_ends(picture: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
    """`picture` cut in the middle of its longer edge when that is over 16 times as long as the shorter one.

    A resize that keeps the aspect ratio would need memory without bound for it. `crop` is the longer edge of what is
    cut out afterwards, in shorter edges; that part is kept, and 8 more on either side.
    """
    short, axis = min(picture.shape[:2]), int(picture.shape[1] > picture.shape[0])
    length = picture.shape[axis]
    cut = (length - (crop + 16) * short) // 2
    return picture if cut <= 0 else np.take(picture, range(cut, length - cut), axis=axis)


def resize_to_square(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`[H, W, 3]` uint8 -> `[size, size, 3]`: the aspect ratio is lost; bilinear, not smoothed.

    By OpenCV, because the released AffectGPT's face pictures were resized with its fixed-point arithmetic.
    """
    import cv2

    return np.asarray(cv2.resize(np.ascontiguousarray(picture), (size, size)), dtype=np.uint8)


def prepare_pictures(
    clip: Clip,
    stream: str,
    count: int,
    size: int,
    channel_order: str,
    spread: str = "middles",
    fit: Fit = square,
) -> Prepared | None:
    """At most `count` pictures of the clip's `stream` ("face" or "frame") as `[T, 3, size, size]` uint8, made by `fit`.

    With `spread: released` exactly `count`: the last is repeated where the clip has fewer.
    """
    read = clip.faces if stream == "face" else clip.frames
    pictures = read(count, "released") if spread == "released" else read(count)
    if pictures is None or not len(pictures.images):
        return None
    squares, times = np.stack([fit(image, size) for image in pictures.images]), np.array(pictures.times, np.float32)
    if spread == "released":
        indices = np.minimum(np.arange(count), len(squares) - 1)
        squares, times = squares[indices], times[indices]
    if channel_order == "bgr":
        squares = squares[..., ::-1]
    return Prepared(torch.from_numpy(np.ascontiguousarray(squares.transpose(0, 3, 1, 2))), torch.from_numpy(times))


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float], factor: float = 1 / 255) -> Tensor:
    """`[N, 3, S, S]` uint8 -> float32 `(pixels * factor - mean) / std`, per channel."""
    offset, scale = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (mean, std))
    return (pixels.float() / (1 / factor) - offset) / scale


def pixel_statistics(folder: Path | None) -> tuple[Sequence[float], Sequence[float]]:
    """`image_mean` and `image_std` of the folder's `preprocessor_config.json`; those of CLIP where there is none.

    Raises CheckpointError when the file is there but does not hold them as three numbers each.
    """
    file = folder / "preprocessor_config.json" if folder else None
    if file is None or not file.is_file():
        return CLIP_MEAN, CLIP_STD
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        mean, std = ([float(number) for number in values[name]] for name in ("image_mean", "image_std"))
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise CheckpointError(
            "the pixel statistics of this model cannot be read", where=str(file), found=repr(error)
        ) from None
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise CheckpointError(
            "the pixel statistics of this model are not usable",
            where=str(file),
            found=f"image_mean {mean}, image_std {std}",
            expected="three numbers each, the deviations above 0",
        )
    return mean, std
