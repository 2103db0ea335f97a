"""Lines and shapes on a face's canvas, in units of the face rather than pixels.

The centre of the face is (0, 0), x to the right, y down, and the face is 2 units high. Colours are RGB 0 to 255.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from affectgpt.synthetic.identity import Color

CANVAS = 256
UNIT = 78.0
"""Canvas pixels per unit; the canvas spans 3.3 units, its centre lies 0.15 units below the face's."""
CENTER = (CANVAS / 2, CANVAS / 2 - 0.15 * UNIT)

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

_SUBPIXEL_BITS = 5


def pixels(points: Points) -> NDArray[np.int32]:
    """`points [..., 2]` in units -> fixed-point canvas coordinates, int32."""
    scaled = (np.asarray(points) * UNIT + CENTER) * (1 << _SUBPIXEL_BITS)
    return np.round(scaled).astype(np.int32)


def fill(canvas: Image, points: Points, color: Color | int) -> None:
    """Fill the polygon `points [N, 2]`, edges smoothed."""
    cv2.fillPoly(canvas, [pixels(points)], color, cv2.LINE_AA, _SUBPIXEL_BITS)


def line(canvas: Image, points: Points, color: Color, width: float) -> None:
    """Draw an open line through `points [N, 2]`; `width` in units, at least a pixel."""
    thickness = max(1, round(width * UNIT))
    cv2.polylines(canvas, [pixels(points)], False, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def ellipse(canvas: Image, center: Points | tuple[float, float], axes: tuple[float, float], color: Color) -> None:
    """Fill an upright ellipse; `axes` are its half-axes."""
    (x, y), scale = pixels(np.asarray(center)), UNIT * (1 << _SUBPIXEL_BITS)
    size = (round(axes[0] * scale), round(axes[1] * scale))
    cv2.ellipse(canvas, (int(x), int(y)), size, 0, 0, 360, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def box(center: Points, reach: float) -> tuple[int, int, int, int]:
    """The square of half-side `reach` around `center` as pixel bounds x0, y0, x1, y1."""
    (x, y), half = np.asarray(center) * UNIT + CENTER, reach * UNIT
    return int(x - half), int(y - half), int(x + half) + 1, int(y + half) + 1


def arc(width: float, height: float, start: float, stop: float, drop: float = 0.0) -> Points:
    """Part of an ellipse with half-axes `width` and `height`, from `start` to `stop` degrees, lowered by `drop`."""
    angles = np.radians(np.linspace(start, stop, 40))
    return moved(np.stack([width * np.cos(angles), height * np.sin(angles)], 1), 0, drop)


def moved(points: Points, dx: float, dy: float) -> Points:
    """`points [..., 2]` shifted."""
    return np.add(points, (dx, dy))


def curve(points: list[tuple[float, float]], steps: int = 8) -> Points:
    """A Catmull-Rom spline through `points`, `steps` per piece."""
    knots = np.asarray(points, dtype=np.float64)
    knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    pieces = []
    for a, b, c, d in zip(knots[:-3], knots[1:-2], knots[2:-1], knots[3:], strict=True):
        t = np.linspace(0, 1, steps, endpoint=False)[:, None]
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, knots[-2:-1]])


def scaled(color: Color, factor: float) -> Color:
    """`color` made brighter or darker."""
    red, green, blue = (int(min(255.0, max(0.0, value * factor))) for value in color)
    return red, green, blue


def mix(first: Color, second: Color, share: float) -> Color:
    """`one` with a `share` (0 to 1) of `other`."""
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
