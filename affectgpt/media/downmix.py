"""The channels of a sound as one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WEIGHTS = (
    dict.fromkeys(("FL", "FR", "FLC", "FRC", "WL", "WR", "BC", "DL", "DR"), 0.5**0.5)
    | {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0}
    | dict.fromkeys(("SL", "SR", "BL", "BR"), 0.5)
)
"""What each channel adds to one: ITU-R BS.775-3, annex 4, for 3/2 sources. Others (above, below) count as surround."""

USUAL_ORDER = {
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Which channel is which in a file that does not say so: 5.1 and 7.1 as WAVE files order them."""

NEAR_SILENCE = 1e-6
"""Mean square below which channels are not said to cancel: 60 dB under full scale."""


class Downmix:
    """Mixes the sound of one file at `rate` Hz, and keeps account of what it changed.

    One or two channels are averaged, and so are others of a file that does not say which is which. More channels are
    added with the weights of the standard: a voice in the centre keeps its level. Their sum may be louder than each
    of them; the caller then makes all of it as loud as the `loudest`.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.peak = 0.0
        self.weighted = False
        self.samples = 0
        self.cancelled = 0
        self.guesses: list[str] = []

    def mix(self, channels: np.ndarray, layout: Any) -> np.ndarray:
        """One channel, float32 `[S]`, of `[S, C]`; `layout` is libav's of these channels."""
        weights = self._weights(layout)
        # A float file may hold values whose sum is no float32: they become inf here and are mended at the end.
        with np.errstate(over="ignore", invalid="ignore"):
            if weights is None:
                mono: np.ndarray = channels.mean(axis=1, dtype=np.float32)
            else:
                mono, self.weighted = channels @ weights, True
            self.peak = max(self.peak, float(np.fmax.reduce(np.abs(channels), axis=None, initial=0.0)))
            if channels.shape[1] > 1:
                self._compare(
                    channels, mono, np.full(channels.shape[1], 1 / channels.shape[1]) if weights is None else weights
                )
        return mono

    def loudest(self) -> float:
        """The peak of the loudest channel; infinite where no weighted sum can exceed it."""
        return self.peak if self.weighted else math.inf

    def notes(self) -> list[str]:
        """What a reader should know."""
        notes = list(self.guesses)
        if self.cancelled >= min(self.rate, self.samples) / 2 > 0:
            seconds = self.cancelled / self.rate
            notes.append(f"the channels of the sound cancel each other: {seconds:.1f} s of their mix is nearly silent")
        return notes

    def _weights(self, layout: Any) -> np.ndarray | None:
        # None for the plain average.
        count = layout.nb_channels
        if count <= 2:
            return None
        names = tuple(channel.name for channel in layout.channels)
        if not all(name in WEIGHTS or name[:1] in ("T", "B", "S") for name in names):
            names = USUAL_ORDER.get(count, ())
            order = "the order of 5.1 and 7.1 in WAVE files was taken" if names else "they were averaged"
            guess = f"the file does not say which of its {count} channels is which: {order}"
            if guess not in self.guesses:
                self.guesses.append(guess)
        return np.array([WEIGHTS.get(name, 0.5) for name in names], np.float32) if names else None

    def _compare(self, channels: np.ndarray, mono: np.ndarray, weights: np.ndarray) -> None:
        # Channels that have nothing in common have the energy of their weighted sum; equal ones more. A fifth of it
        # means that they are opposed. What is left out (LFE) counts a little: where it is all, the mix is silent too.
        shares = np.maximum(weights, 0.1) ** 2
        for start in range(0, len(mono), self.rate):
            part, mixed = channels[start : start + self.rate], mono[start : start + self.rate]
            energy = float(np.einsum("sc,sc->c", part, part) @ shares)
            self.samples += len(mixed)
            if energy > NEAR_SILENCE * len(mixed) and float(mixed @ mixed) < energy / 5:
                self.cancelled += len(mixed)
