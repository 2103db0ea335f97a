"""Who is seen and heard in a synthetic clip: proportions, colours, hair and voice, drawn once per identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Split = Literal["train", "test"]
Color = tuple[int, int, int]

SPLIT_CODE: dict[Split, int] = {"train": 0, "test": 1}
POOL_SIZE: dict[Split, int] = {"train": 160, "test": 80}
"""How many identities each split draws from. The pools do not depend on the seed and share nobody."""

_POOL_ENTROPY = 0x5EED_FACE

_SKINS: tuple[Color, ...] = (
    (232, 200, 176),
    (226, 188, 158),
    (216, 174, 140),
    (208, 162, 124),
    (186, 138, 102),
    (158, 112, 80),
    (132, 92, 66),
)
_HAIRS: tuple[Color, ...] = (
    (28, 24, 24),
    (48, 34, 28),
    (78, 52, 36),
    (112, 76, 46),
    (150, 108, 64),
    (176, 140, 92),
    (126, 56, 34),
    (128, 126, 124),
)
_IRISES: tuple[Color, ...] = ((66, 42, 26), (92, 62, 34), (84, 96, 58), (78, 110, 136), (104, 112, 118))
_CLOTHES: tuple[Color, ...] = (
    (52, 72, 104),
    (122, 48, 52),
    (58, 92, 76),
    (92, 88, 96),
    (176, 164, 142),
    (44, 46, 52),
    (120, 96, 140),
    (190, 140, 70),
)
HAIR_STYLES = ("short", "side", "bob", "long", "cropped")


@dataclass(frozen=True)
class Identity:
    """One drawn person. Lengths are in units of the face's half-height; colours are RGB 0 to 255.

    `f0` is the resting pitch in Hz, `tract` multiplies the formants (a shorter vocal tract is above 1).
    `rest_*` is how the neutral face already looks, in units of an expression parameter: what makes one
    person's resting face resemble another's weak expression.
    """

    skin: Color
    hair: Color
    iris: Color
    lip: Color
    cloth: Color
    hair_style: str
    stubble: float
    width: float
    taper: float
    eye_gap: float
    eye_size: float
    eye_height: float
    brow_thickness: float
    brow_height: float
    nose_width: float
    nose_length: float
    mouth_width: float
    mouth_height: float
    lip_fullness: float
    rest_brow: float
    rest_lid: float
    rest_mouth: float
    f0: float
    tract: float


def _varied(rng: np.random.Generator, color: Color, amount: float) -> Color:
    tone = np.asarray(color) * (1 + rng.normal(0, amount)) + rng.normal(0, 60 * amount, 3)
    red, green, blue = np.clip(tone, 0, 255).astype(int).tolist()
    return red, green, blue


def draw_identity(split: Split, number: int) -> Identity:
    """Identity `number` (0 to `POOL_SIZE[split]` - 1) of a split's pool; the same one in every data set."""
    seeds = np.random.SeedSequence(_POOL_ENTROPY, spawn_key=(SPLIT_CODE[split], number))
    rng = np.random.default_rng(seeds)
    skin = _varied(rng, _SKINS[rng.integers(len(_SKINS))], 0.03)
    lip_tint = np.asarray((0.88, 0.60, 0.60)) * rng.uniform(0.92, 1.06)
    red, green, blue = np.clip(np.asarray(skin) * lip_tint, 0, 255).astype(int).tolist()
    low_voice = bool(rng.random() < 0.5)
    style = HAIR_STYLES[rng.choice([0, 1, 4]) if low_voice else rng.choice([0, 1, 2, 3])]
    return Identity(
        skin=skin,
        hair=_varied(rng, _HAIRS[rng.integers(len(_HAIRS))], 0.06),
        iris=_varied(rng, _IRISES[rng.integers(len(_IRISES))], 0.06),
        lip=(red, green, blue),
        cloth=_varied(rng, _CLOTHES[rng.integers(len(_CLOTHES))], 0.08),
        hair_style=style,
        stubble=float(rng.uniform(0.08, 0.22)) if low_voice and rng.random() < 0.5 else 0.0,
        width=float(rng.uniform(0.73, 0.83)),
        taper=float(rng.uniform(0.10, 0.24)),
        eye_gap=float(rng.uniform(0.33, 0.38)),
        eye_size=float(rng.uniform(0.165, 0.205)),
        eye_height=float(rng.uniform(-0.16, -0.10)),
        brow_thickness=float(rng.uniform(0.040, 0.075)),
        brow_height=float(rng.uniform(0.19, 0.24)),
        nose_width=float(rng.uniform(0.13, 0.18)),
        nose_length=float(rng.uniform(0.36, 0.44)),
        mouth_width=float(rng.uniform(0.26, 0.33)),
        mouth_height=float(rng.uniform(0.52, 0.58)),
        lip_fullness=float(rng.uniform(0.045, 0.085)),
        rest_brow=float(rng.normal(0, 0.10)),
        rest_lid=float(rng.normal(0, 0.14)),
        rest_mouth=float(rng.normal(0, 0.10)),
        f0=float(rng.uniform(100, 150) if low_voice else rng.uniform(160, 220)),
        tract=float(rng.uniform(0.94, 1.04) if low_voice else rng.uniform(1.04, 1.16)),
    )
