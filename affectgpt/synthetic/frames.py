"""Puts a portrait before a background and films it: framing, sway, camera noise."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from affectgpt.synthetic.brush import CENTER, UNIT, Image
from affectgpt.synthetic.expression import at_moment
from affectgpt.synthetic.face import Portrait
from affectgpt.synthetic.identity import Identity
from affectgpt.synthetic.motion import Course, blinks, sway
from affectgpt.synthetic.script import Face

SIZE = 160
FRAME_RATE = 12.5
_FACE_HALF_HEIGHT = 0.38


def render_frames(
    rng: np.random.Generator,
    identity: Identity | None,
    face: Face,
    *,
    seconds: float,
    cue: Course,
    lips: NDArray[np.floating],
    noise: float,
) -> Iterator[Image]:
    """The frames of one clip, `[SIZE, SIZE, 3]` uint8 RGB each; without an `identity`, of the empty room.

    `cue` is how far the face is from neutral to `face` at each moment; `lips [frames]` how far speech opens the
    mouth; `noise` the standard deviation of the camera's noise in grey levels.
    """
    times = np.arange(len(lips)) / FRAME_RATE
    light = (float(rng.uniform(-1, 1)), float(rng.uniform(0, 1)))
    turn = float(rng.uniform(-1, 1))
    portrait = Portrait(identity, turn=turn, light=light) if identity is not None else None
    backdrop = _background(rng)
    tint = rng.uniform(0.78, 1.08) * (1 + rng.uniform(-0.05, 0.05, 3))
    scale = rng.uniform(0.85, 1.06) * (1 + sway(rng, 0.02)(times))
    angle = rng.uniform(-7, 7) + sway(rng, 3.0)(times)
    dx = rng.uniform(-0.08, 0.08) + sway(rng, 0.03)(times)
    dy = rng.uniform(-0.05, 0.05) + sway(rng, 0.02)(times)
    strength, shut = cue(times), blinks(rng, seconds)(times)
    gaze = rng.uniform(-0.1, 0.3) + sway(rng, 0.2)(times)
    grain = _grain(rng, noise)
    for index in range(len(times)):
        scene = backdrop
        if identity is not None and portrait is not None:
            speech, blink = float(lips[index]), float(shut[index])
            moved = at_moment(identity, face, float(strength[index]), speech=speech, blink=blink, gaze=gaze[index])
            placement = _placement(scale[index], angle[index], dx[index], dy[index])
            picture = cv2.warpAffine(portrait.draw(moved), placement, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
            cover = cv2.warpAffine(portrait.alpha, placement, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
            share = cover[..., None] / np.float32(255)
            scene = picture * share + backdrop * (1 - share)
        scene = scene * tint.astype(np.float32)
        row, column = rng.integers(0, SIZE, 2)
        scene = scene + grain[row : row + SIZE, column : column + SIZE] * rng.choice((-1, 1))
        yield np.clip(scene, 0, 255).astype(np.uint8)


def _placement(scale: float, angle: float, dx: float, dy: float) -> NDArray[np.float64]:
    """The affine map `[2, 3]` from the canvas to the frame; `dx` and `dy` are shares of the frame."""
    zoom = scale * _FACE_HALF_HEIGHT * SIZE / UNIT
    matrix = np.asarray(cv2.getRotationMatrix2D(CENTER, angle, zoom), dtype=np.float64)
    matrix[:, 2] += (SIZE * (0.5 + dx) - CENTER[0], SIZE * (0.5 + dy) - CENTER[1])
    return matrix


def _background(rng: np.random.Generator) -> NDArray[np.float32]:
    """A wall with soft shapes, out of focus, `[SIZE, SIZE, 3]` float32."""
    wall = np.empty((SIZE, SIZE, 3), np.uint8)
    wall[:] = np.clip(rng.uniform(70, 190) + rng.normal(0, 18, 3), 0, 255)
    for _ in range(rng.integers(2, 6)):
        corner, extent = rng.integers(-30, SIZE, 2), rng.integers(20, 110, 2)
        color = np.clip(wall[0, 0] + rng.normal(0, 26, 3), 0, 255).tolist()
        cv2.rectangle(wall, corner.tolist(), (corner + extent).tolist(), color, -1)
    blurred = cv2.GaussianBlur(wall, (0, 0), float(rng.uniform(4, 10))).astype(np.float32)
    slope = np.linspace(-1, 1, SIZE, dtype=np.float32)
    x_slope, y_slope = slope[None, :, None], slope[:, None, None]
    return np.asarray(
        blurred * (1 + 0.2 * float(rng.uniform(-1, 1)) * x_slope) * (1 - 0.12 * y_slope), dtype=np.float32
    )


def _grain(rng: np.random.Generator, deviation: float) -> NDArray[np.float32]:
    """Camera noise `[2 SIZE, 2 SIZE, 3]`; each frame shows another part of it, mostly grey with some colour."""
    grey = rng.standard_normal((2 * SIZE, 2 * SIZE, 1), np.float32)
    colour = rng.standard_normal((2 * SIZE, 2 * SIZE, 3), np.float32)
    return np.asarray(deviation * (0.9 * grey + 0.45 * colour), dtype=np.float32)
