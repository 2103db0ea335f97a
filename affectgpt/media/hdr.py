"""HDR pictures in the light of ordinary ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

KINDS = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}

UNSTATED = 2
"""The matrix of a file that states none (AVCOL_SPC_UNSPECIFIED): that of HDR is then meant."""

WHITE = 203.0
"""Diffuse white in nits: ITU-R BT.2408-7."""

SHOULDER = 0.7
"""Part of diffuse white up to which light is kept as it is; what is brighter is pressed together above it."""

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Of linear light: ITU-R BT.2087-0."""

_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_ROWS = 64


def kind(frame: Any) -> str | None:
    """`PQ` or `HLG`, None for a decoded frame that is not HDR."""
    return KINDS.get(frame.color_trc)


def to_ordinary(frame: Any, size: dict[str, int]) -> np.ndarray:
    """An HDR frame as sRGB, uint8 `[H, W, 3]`, in the `width` and `height` of `size` if given: diffuse white is nearly
    white, and what is brighter lies between them."""
    unstated = frame.colorspace == UNSTATED
    signal = frame.reformat(
        format="rgb48le", threads=1, src_colorspace=Colorspace.BT2020 if unstated else None, **size
    ).to_ndarray()
    wide = frame.color_primaries in (int(ColorPrimaries.BT2020), int(ColorPrimaries.UNSPECIFIED))
    image = np.empty(signal.shape, np.uint8)
    for row in range(0, len(signal), _ROWS):
        light = _light(KINDS[frame.color_trc])[signal[row : row + _ROWS]]
        if KINDS[frame.color_trc] == "HLG":
            # ITU-R BT.2100-2, table 5: the display's own curve, for one of 1,000 nits.
            light = light * (1000 / WHITE) * (light @ _LUMINANCE)[..., None] ** 0.2
        if wide:
            light = light @ _BT2020_TO_BT709.T
        bright = SHOULDER + (1 - SHOULDER) * (1 - np.exp((SHOULDER - light) / (1 - SHOULDER)))
        light = np.clip(np.where(light > SHOULDER, bright, light), 0, 1)
        image[row : row + _ROWS] = _srgb()[(light * 4095 + 0.5).astype(np.int32)]
    return image


@cache
def _light(name: str) -> np.ndarray:
    # Light for each of the 65,536 signals: of PQ by diffuse white, of HLG by the brightest of the scene.
    signal = np.arange(2**16) / (2**16 - 1)
    if name == "PQ":
        # SMPTE ST 2084.
        power = signal ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        return (light * 10_000 / WHITE).astype(np.float32)
    # ITU-R BT.2100-2, table 5.
    low, high = signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(signal <= 0.5, low, high).astype(np.float32)


@cache
def _srgb() -> np.ndarray:
    # IEC 61966-2-1, for light in 4,096 steps.
    light = np.arange(4096) / 4095
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * signal + 0.5).astype(np.uint8)
