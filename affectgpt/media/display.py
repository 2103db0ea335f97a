"""A decoded frame as it is meant to be seen: of one moment, in square pixels, in ordinary light, upright."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from av import FFmpegError
from av.filter import Graph

from affectgpt.media import hdr
from affectgpt.media.orientation import apply_orientation, read_orientation

MOST_UNEVEN = 8
"""How many times as wide as high, or as high as wide, pixels may be: what states more is damaged."""

LEAST_UNEVEN = Fraction(1, 100)
"""How far from square pixels are resized: sizes are whole numbers, so that many files state 404:405 for square ones."""


def picture(frame: Any, packet: Any, pixel_shape: Fraction | None, max_pixels: int) -> tuple[np.ndarray, list[str]]:
    """A decoded frame as uint8 RGB `[H, W, 3]`, and notes on what was changed.

    `packet` is the one the decoder was fed last. `pixel_shape` is the width of the file's pixels by their height, None
    when not stated. A picture that would have more than `max_pixels` is made smaller, not larger, on its way to square
    pixels.
    """
    field, notes = _deinterlace(frame) if frame.interlaced_frame else (frame, [])
    size = {}
    if pixel_shape and abs(pixel_shape - 1) > LEAST_UNEVEN:
        if 1 <= MOST_UNEVEN * pixel_shape <= MOST_UNEVEN**2:
            width, height = square_size(frame.width, frame.height, pixel_shape, max_pixels)
            size = {"width": width, "height": height}
        else:
            notes.append(
                f"pixels of {pixel_shape.numerator}:{pixel_shape.denominator} cannot be meant: taken as square"
            )
    light = hdr.kind(frame)
    if light is None:
        image = field.reformat(format="rgb24", threads=1, **size).to_ndarray()
    else:
        image = hdr.to_ordinary(field, size)
        notes.append(f"the picture is HDR ({light}): its light was brought to the range of ordinary pictures")
    return np.ascontiguousarray(apply_orientation(image, read_orientation(frame, packet))), notes


def square_size(width: int, height: int, pixel_shape: Fraction, max_pixels: int) -> tuple[int, int]:
    """Width and height in square pixels of a picture whose pixels are `pixel_shape` times as wide as high.

    Nothing is made smaller, unless the picture would have more than `max_pixels`.
    """
    wider, higher = (max(1, round(width * pixel_shape)), height), (width, max(1, round(height / pixel_shape)))
    larger, smaller = (wider, higher) if pixel_shape > 1 else (higher, wider)
    return larger if larger[0] * larger[1] <= max_pixels else smaller


def _deinterlace(frame: Any) -> tuple[Any, list[str]]:
    # Within the frame: its neighbours are decoded only where they are asked for.
    graph = Graph()
    try:
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
        )
        graph.link_nodes(source, graph.add("estdif", "mode=frame"), graph.add("buffersink")).configure()
        graph.vpush(frame)
        graph.vpush(None)
        return graph.vpull(), ["the picture is interlaced: one field of each frame is used"]
    except (FFmpegError, ValueError):
        return frame, ["the picture is interlaced and is used as it is"]
