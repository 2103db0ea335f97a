"""Draws a shaded face: the parts that stay are painted once per clip, the parts that move once per frame.

A portrait is painted on a square canvas (see `brush.py` for its coordinates); `frames.py` places it in a frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from affectgpt.synthetic.brush import (
    CANVAS,
    Image,
    Points,
    arc,
    box,
    curve,
    ellipse,
    fill,
    line,
    mix,
    moved,
    scaled,
)
from affectgpt.synthetic.expression import Expression
from affectgpt.synthetic.identity import Color, Identity
from affectgpt.synthetic.shading import hair_light, skin_light

_CAP = {"cropped": 0.05, "short": 0.13, "side": 0.16, "bob": 0.18, "long": 0.18}
"""How far the hair stands above the head, by style."""
_HAIRLINES: dict[str, list[tuple[float, float]]] = {
    "cropped": [(-0.9, -0.50), (-0.62, -0.76), (0.0, -0.83), (0.62, -0.76), (0.9, -0.50)],
    "short": [(-0.95, -0.32), (-0.74, -0.62), (-0.2, -0.70), (0.3, -0.66), (0.76, -0.60), (0.95, -0.32)],
    "side": [(-0.97, -0.22), (-0.76, -0.54), (0.1, -0.74), (0.42, -0.80), (0.74, -0.58), (0.97, -0.22)],
    "bob": [(-1, 0.25), (-0.80, -0.30), (-0.66, -0.57), (0.0, -0.66), (0.66, -0.57), (0.80, -0.30), (1, 0.25)],
    "long": [(-1, 0.6), (-0.86, -0.2), (-0.55, -0.64), (0.08, -0.86), (0.55, -0.64), (0.86, -0.2), (1, 0.6)],
}


class Portrait:
    """One person as lit in one clip. `draw` gives the moving face; `alpha` says what of the canvas is person."""

    def __init__(self, identity: Identity, *, turn: float, light: tuple[float, float]) -> None:
        """`turn` (-1 to 1) moves the features sideways as a slight turn of the head does; `light` is where the
        light comes from: right positive, above positive, about -1 to 1 each.
        """
        self._identity = identity
        self._turn = 0.07 * turn
        self._still = np.zeros((CANVAS, CANVAS, 3), np.uint8)
        self.alpha = np.zeros((CANVAS, CANVAS), np.uint8)
        self._hair_mask = np.zeros((CANVAS, CANVAS), np.uint8)
        self._paint_body()
        self._paint_hairline()
        self._light = skin_light(identity, self._turn, light)
        plain_hair = np.full_like(self._still, identity.hair)
        self._hair = cv2.multiply(plain_hair, hair_light(identity, light), scale=1 / 128)
        self.alpha = np.asarray(cv2.erode(self.alpha, np.ones((3, 3), np.uint8)), dtype=np.uint8)

    def draw(self, expression: Expression) -> Image:
        """The portrait with `expression`, `[CANVAS, CANVAS, 3]` uint8; what `alpha` excludes means nothing."""
        canvas = self._still.copy()
        self._folds(canvas, expression)
        canvas = cv2.GaussianBlur(canvas, (0, 0), 1.6)
        self._nose(canvas)
        for side in (-1, 1):
            self._eye(canvas, expression, side)
            self._brow(canvas, expression, side)
        self._mouth(canvas, expression)
        canvas = cv2.multiply(canvas, self._light, scale=1 / 128)
        cv2.copyTo(self._hair, self._hair_mask, canvas)
        return np.asarray(cv2.GaussianBlur(canvas, (3, 3), 0), dtype=np.uint8)

    def _paint_body(self) -> None:
        identity = self._identity
        shaded = scaled(identity.skin, 0.86)
        outline = _outline(identity)
        if identity.hair_style in ("bob", "long"):
            reach = 0.95 if identity.hair_style == "bob" else 1.7
            wide = identity.width + 0.2
            half = [(0.8, reach), (0.97, reach - 0.3), (1.0, -0.2)]
            back = curve([*((-x, y) for x, y in reversed(half)), *half]) * (wide, 1)
            self._person(np.concatenate([back, arc(wide, 1.17, 0, -180, -0.2)]), hair=True)
        neck = curve([(-0.4, 0.6), (-0.38, 1.2), (-0.6, 1.5), (0.6, 1.5), (0.38, 1.2), (0.4, 0.6)])
        self._person(neck, shaded)
        shoulders = [(-2.0, 2.2), (-1.5, 1.62), (-0.55, 1.36), (0.0, 1.5), (0.55, 1.36), (1.5, 1.62), (2.0, 2.2)]
        self._person(curve(shoulders), identity.cloth)
        if identity.hair_style in ("short", "cropped", "side"):
            for side in (-1, 1):
                self._person(moved(arc(0.11, 0.19, 0, 360), side * (identity.width + 0.01), 0), shaded)
        cap = _CAP[identity.hair_style]
        self._person(arc(identity.width + 0.6 * cap, 1 + cap, 0, -180, -0.12), hair=True)
        self._person(outline, identity.skin)
        if identity.stubble:
            beard = self._still.copy()
            lower = outline[outline[:, 1] > 0.25]
            fill(beard, np.concatenate([lower, [(-0.45, 0.42), (0.0, 0.33), (0.45, 0.42)]]), scaled(identity.hair, 1.2))
            beard = cv2.GaussianBlur(beard, (0, 0), 5)
            mixture = cv2.addWeighted(self._still, 1 - identity.stubble, beard, identity.stubble, 0)
            self._still = np.asarray(mixture, dtype=np.uint8)

    def _person(self, points: Points, color: Color | None = None, *, hair: bool = False) -> None:
        fill(self._still, points, self._identity.hair if color is None else color)
        fill(self.alpha, points, 255)
        fill(self._hair_mask, points, 255 if hair else 0)

    def _paint_hairline(self) -> None:
        identity = self._identity
        hairline = curve(_HAIRLINES[identity.hair_style])
        crown = arc(1.12, 1.2, 0, -180, min(hairline[0, 1], 0.0))
        fill(self._hair_mask, np.concatenate([hairline, crown]) * (identity.width / 0.93, 1), 255)
        self._hair_mask = np.where((self._hair_mask > 127) & (self.alpha > 127), 255, 0).astype(np.uint8)

    def _nose(self, canvas: Image) -> None:
        identity = self._identity
        tip = -0.06 + identity.nose_length
        for side in (-1, 1):
            nostril = (self._turn * 1.6 + side * 0.40 * identity.nose_width, tip + 0.012)
            ellipse(canvas, nostril, (0.034, 0.016), scaled(identity.skin, 0.52))
            wing = curve([(0.75, -0.10), (1.0, -0.02), (0.85, 0.04)]) * (side * identity.nose_width, 1)
            line(canvas, moved(wing, self._turn * 1.4, tip), scaled(identity.skin, 0.80), 0.02)

    def _brow(self, canvas: Image, now: Expression, side: int) -> None:
        identity = self._identity
        height = identity.eye_height - identity.brow_height
        inner = (identity.eye_gap - 0.17 - 0.06 * now.squeeze, height - 0.13 * now.brow_inner)
        outer = (identity.eye_gap + 0.23, height + 0.03 - 0.10 * now.brow_outer)
        middle = (identity.eye_gap + 0.05, (inner[1] + outer[1]) / 2 - 0.045)
        spine = curve([inner, middle, outer], 10)
        thick = identity.brow_thickness * np.linspace(1.0, 0.45, len(spine))[:, None] * (0, 1)
        shape = np.concatenate([spine - 0.5 * thick, (spine + 0.5 * thick)[::-1]])
        fill(canvas, moved(shape * (side, 1), self._turn, 0), mix(identity.hair, identity.skin, 0.2))

    def _eye(self, canvas: Image, now: Expression, side: int) -> None:
        identity = self._identity
        center = np.array((side * identity.eye_gap + self._turn, identity.eye_height))
        size = identity.eye_size
        upper = size * (0.50 + 0.30 * now.lids) * (1 - now.shut) - 0.10 * size * now.shut
        lower = size * (0.32 + 0.08 * now.lids - 0.26 * now.lower_lids * (1 - now.shut))
        upper = max(upper, -0.9 * lower + 0.004)
        slant = np.linspace(-0.02, 0.02, 13) * side
        xs = np.linspace(-1, 1, 13)
        bow = 1 - np.abs(xs) ** 2.2
        top = np.stack([xs * size, slant - upper * bow], 1) + center
        bottom = np.stack([xs * size, slant + lower * bow], 1) + center
        crease = moved(top, 0, -0.045 - 0.03 * max(0.0, now.lids))
        line(canvas, crease[2:-2], scaled(identity.skin, 0.80), 0.018)
        x0, y0, x1, y1 = box(center, size * 1.25)
        opening = np.zeros(canvas.shape[:2], np.uint8)
        fill(opening, np.concatenate([top, bottom[::-1]]), 255)
        ball = canvas.copy()
        ball[y0:y1, x0:x1] = (250, 247, 244)
        iris = moved(center, 0.6 * self._turn, 0.10 * size * now.gaze - 0.03 * size)
        radius = 0.52 * size
        ellipse(ball, iris, (radius, radius), scaled(identity.iris, 0.7))
        ellipse(ball, iris, (radius * 0.85, radius * 0.85), identity.iris)
        ellipse(ball, iris, (radius * 0.45, radius * 0.45), (14, 12, 12))
        ellipse(ball, moved(iris, -0.14 * size, -0.16 * size), (0.018, 0.018), (250, 250, 250))
        opacity = opening[y0:y1, x0:x1, None].astype(np.uint16)
        mixture = ball[y0:y1, x0:x1] * opacity + canvas[y0:y1, x0:x1] * (255 - opacity)
        canvas[y0:y1, x0:x1] = (mixture // 255).astype(np.uint8)
        line(canvas, bottom[1:-1], scaled(identity.skin, 0.70), 0.014)
        line(canvas, top, scaled(identity.hair, 0.45), 0.034)

    def _mouth(self, canvas: Image, now: Expression) -> None:
        identity = self._identity
        half = identity.mouth_width * (1 + 0.26 * now.stretch)
        gap = 0.34 * max(0.0, now.jaw)
        full = identity.lip_fullness * (1 - 0.45 * max(0.0, now.press))
        xs = np.linspace(-1, 1, 15)
        bow = 1 - xs**2
        bend = -0.14 * now.corners * xs**2 + 0.045 * now.corners
        seam = moved(np.stack([xs * half, bend], 1), self._turn * 1.2, identity.mouth_height)
        downward = np.array((0.0, 1.0))
        cupid = full * (bow + 0.18 * np.cos(np.pi * xs * 2.2) * bow)
        top = seam - 0.22 * gap * bow[:, None] * downward
        bottom = seam + 0.78 * gap * bow[:, None] * downward
        upper_edge, lower_edge = top - cupid[:, None] * downward, bottom + 1.25 * (full * bow)[:, None] * downward
        if now.press > 0.1:
            line(canvas, moved(lower_edge[3:-3], 0, 0.05), scaled(identity.skin, 1 - 0.2 * now.press), 0.03)
        fill(canvas, np.concatenate([upper_edge, top[::-1]]), scaled(identity.lip, 0.90))
        fill(canvas, np.concatenate([bottom, lower_edge[::-1]]), identity.lip)
        if gap > 0.012:
            fill(canvas, np.concatenate([top, bottom[::-1]]), (58, 22, 24))
            teeth = top + np.minimum(0.075, 0.42 * gap * bow)[:, None] * downward
            fill(canvas, np.concatenate([top, teeth[::-1]])[2:-2], (222, 214, 204))
            line(canvas, top, scaled(identity.lip, 0.6), 0.014)
        else:
            line(canvas, seam, scaled(identity.lip, 0.45), 0.022)
        if now.press < 0.2:
            line(canvas, moved(bottom[5:10], 0, 0.55 * full), scaled(identity.lip, 1.10), 0.02)

    def _folds(self, canvas: Image, now: Expression) -> None:
        identity = self._identity
        for side in (-1, 1):
            if now.cheeks > 0.05:
                fold = moved(curve([(0.20, 0.30), (0.36, 0.42), (0.43, 0.58)]) * (side, 1), self._turn, 0)
                line(canvas, fold, scaled(identity.skin, 1 - 0.26 * now.cheeks), 0.035)
                bag = moved(curve([(0.22, 0.06), (0.36, 0.10), (0.50, 0.05)]) * (side, 1), self._turn, 0)
                line(canvas, bag, scaled(identity.skin, 1 - 0.12 * now.cheeks), 0.03)
            if now.squeeze > 0.05 and now.brow_inner < 0:
                furrow = moved(curve([(0.055, -0.46), (0.06, -0.36), (0.05, -0.27)]) * (side, 1), self._turn, 0)
                line(canvas, furrow, scaled(identity.skin, 1 - 0.34 * now.squeeze), 0.028)
            if now.corners < -0.2:
                fold = moved(curve([(0.36, 0.62), (0.40, 0.70), (0.39, 0.78)]) * (side, 1), self._turn, 0)
                line(canvas, fold, scaled(identity.skin, 1 + 0.20 * now.corners), 0.03)
        if now.brow_inner > 0.3:
            for row in (-0.52, -0.60):
                wide = 0.42 if now.brow_outer > 0 else 0.18
                fold = moved(curve([(-wide, row + 0.02), (0.0, row - 0.01), (wide, row + 0.02)]), self._turn, 0)
                line(canvas, fold, scaled(identity.skin, 1 - 0.14 * now.brow_inner), 0.022)


def _outline(identity: Identity) -> Points:
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    xs, ys = np.cos(angles), np.sin(angles)
    return np.stack([identity.width * xs * (1 - identity.taper * np.maximum(ys, 0) ** 2), ys], 1)
