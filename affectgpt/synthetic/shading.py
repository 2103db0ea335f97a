"""The light on a face and on hair: static brightness maps over the canvas, 128 = as painted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from affectgpt.synthetic.brush import CANVAS, CENTER, UNIT, Image
from affectgpt.synthetic.identity import Identity


def skin_light(identity: Identity, turn: float, light: tuple[float, float]) -> Image:
    """Brightness of the skin as Gaussians over the canvas, `[CANVAS, CANVAS, 3]` uint8, 128 = as painted."""
    rows, columns = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    x, y = (columns - CENTER[0]) / UNIT, (rows - CENTER[1]) / UNIT

    def bump(cx: float, cy: float, sx: float, sy: float) -> NDArray[np.float32]:
        distance = ((x - cx - turn) / sx) ** 2 + ((y - cy) / sy) ** 2
        return np.asarray(np.exp(-0.5 * distance), dtype=np.float32)

    level = np.ones_like(x)
    for side in (-1, 1):
        level -= 0.34 * bump(side * identity.eye_gap, identity.eye_height - 0.02, 0.21, 0.12)
        level += 0.10 * bump(side * 0.44, 0.22, 0.16, 0.14)
        level -= 0.10 * bump(side * 0.15, identity.eye_height + 0.10, 0.05, 0.16)
    tip = -0.06 + identity.nose_length
    level += 0.13 * bump(0, -0.55, 0.38, 0.17)
    level += 0.17 * bump(0, 0.08, 0.055, 0.24) + 0.10 * bump(0, tip - 0.07, 0.07, 0.06)
    level -= 0.22 * bump(0, tip + 0.055, 0.12, 0.045)
    level -= 0.13 * bump(0, identity.mouth_height + 0.17, 0.17, 0.05)
    level += 0.08 * bump(0, 0.86, 0.15, 0.08)
    edge = np.sqrt((x / identity.width) ** 2 + y**2)
    is_skin = edge < 1.02
    level -= np.where(is_skin, 0.28 * np.clip(edge, 0, 1.1) ** 5, 0.10)
    level -= 0.22 * np.exp(-0.5 * ((x / 0.45) ** 2 + ((y - 1.12) / 0.14) ** 2)) * ~is_skin
    level *= 1 + 0.17 * light[0] * np.tanh(1.3 * x) - 0.12 * light[1] * np.tanh(y)
    warmth = np.array((1.0, 1 - 0.05, 1 - 0.10), np.float32)
    shadow = np.clip(1 - level, 0, 1)[..., None] * (1 - warmth)
    toned = np.clip((level[..., None] - 0.6 * shadow) * 128, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(toned, (0, 0), 1.5), dtype=np.uint8)


def hair_light(identity: Identity, light: tuple[float, float]) -> Image:
    """Brightness of the hair, `[CANVAS, CANVAS, 3]` uint8: a gloss above the forehead and strands that run down."""
    rows, columns = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    x, y = (columns - CENTER[0]) / UNIT, (rows - CENTER[1]) / UNIT
    radius, angle = np.sqrt(x**2 + (y + 0.1) ** 2), np.arctan2(x, -(y + 0.1))
    strands = np.sin(31 * angle + 3 * np.sin(5 * angle)) + 0.7 * np.sin(67 * angle + 4 * radius)
    level = 0.92 + 0.07 * strands + 0.34 * np.exp(-0.5 * (((radius - 0.98) / 0.09) ** 2)) * np.clip(-4 * y, 0, 1)
    level -= 0.25 * np.clip(y, 0, 1)
    level *= 1 + 0.14 * light[0] * np.tanh(1.3 * x / identity.width)
    return np.repeat(np.clip(level * 128, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
