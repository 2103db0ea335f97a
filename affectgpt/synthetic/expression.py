"""What a drawn face does: brows, lids, gaze and mouth as a handful of numbers. No OpenCV."""

from __future__ import annotations

from dataclasses import dataclass, fields

from affectgpt.synthetic.identity import Identity
from affectgpt.synthetic.script import Face


@dataclass(frozen=True)
class Expression:
    """Zero is a neutral face; one is about as far as a face goes.

    - `brow_inner`, `brow_outer`: the ends of the brows, up positive; `squeeze`: the brows drawn together.
    - `lids`: the eyes wider (positive) or narrower; `lower_lids`: the lower lids pushed up; `shut`: a blink.
    - `gaze`: looking down positive.
    - `corners`: of the mouth, up positive; `stretch`: the mouth wider; `press`: the lips pressed together.
    - `jaw`: the mouth open; `cheeks`: raised.
    """

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    squeeze: float = 0.0
    lids: float = 0.0
    lower_lids: float = 0.0
    shut: float = 0.0
    gaze: float = 0.0
    corners: float = 0.0
    stretch: float = 0.0
    press: float = 0.0
    jaw: float = 0.0
    cheeks: float = 0.0


EXPRESSIONS: dict[Face, Expression] = {
    "smile": Expression(brow_outer=0.1, lids=-0.1, lower_lids=0.55, corners=1.0, stretch=0.7, jaw=0.16, cheeks=1.0),
    "scowl": Expression(
        brow_inner=-1.0, brow_outer=-0.1, squeeze=1.0, lids=-0.3, lower_lids=0.3, corners=-0.1, stretch=0.1, press=1.0
    ),
    "surprise": Expression(brow_inner=1.0, brow_outer=1.0, lids=0.9, corners=-0.05, stretch=-0.55, jaw=0.85),
    "sad": Expression(brow_inner=0.9, brow_outer=-0.7, squeeze=0.4, lids=-0.4, gaze=0.6, corners=-1.0, stretch=-0.2),
}


def at_moment(
    identity: Identity, face: Face, strength: float, *, speech: float, blink: float, gaze: float
) -> Expression:
    """The resting face of `identity` moved `strength` (0 to 1) of the way to `face`, speaking and blinking.

    `speech` (0 to 1) opens the mouth beyond what the expression does; `blink` (0 to 1) shuts the lids.
    """
    values = {field.name: strength * getattr(EXPRESSIONS[face], field.name) for field in fields(Expression)}
    values["brow_inner"] += identity.rest_brow
    values["brow_outer"] += 0.5 * identity.rest_brow
    values["lids"] += identity.rest_lid
    values["corners"] += identity.rest_mouth
    values["gaze"] += gaze
    values["shut"] = blink
    values["jaw"] = min(1.0, values["jaw"] + 0.42 * speech * (1 - 0.5 * values["jaw"]))
    values["press"] *= 1 - speech
    return Expression(**values)
