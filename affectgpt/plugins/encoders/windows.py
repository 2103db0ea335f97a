"""Positions of the windows of a waveform. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from affectgpt.plugins.encoders.option_types import RATE, WindowSpread


def window_starts(samples: int, length: int, count: int, spread: WindowSpread = "ends") -> list[int]:
    """First samples of at most `count` windows of `length` samples in a waveform of `samples` samples.

    - "ends": window i of n starts at i (samples - length) / (n - 1), rounded down, so the last one reaches the end;
      a single window lies in the middle. Equal windows are returned once: a waveform no longer than one window
      has one.
    - "released": always `count` windows, window i at i (D - L) / count seconds, where D is the duration and L the
      length in seconds. The end is not reached, and a waveform of one window has it `count` times. The duration
      is a float turned into a fraction and the product is truncated, which can fall one sample short.
    """
    if spread == "released":
        slack = max(Fraction(samples / RATE) - Fraction(length, RATE), Fraction(0))
        return [int(slack * index / count * RATE) for index in range(count)]
    slack_samples = max(samples - length, 0)
    if count == 1:
        return [slack_samples // 2]
    return list(dict.fromkeys(index * slack_samples // (count - 1) for index in range(count)))


def cut_windows(waveform: NDArray[np.float32], length: int, starts: Sequence[int]) -> NDArray[np.float32]:
    """The windows `[T, length]` float32 of `waveform [S]` at `starts`; values beyond its end are 0."""
    windows = np.zeros((len(starts), length), dtype=np.float32)
    for row, start in zip(windows, starts, strict=True):
        piece = waveform[start : start + length]
        row[: piece.shape[0]] = piece
    return windows


def centres(samples: int, length: int, starts: Sequence[int]) -> NDArray[np.float32]:
    """The middle of each window `[T]` in seconds, the part beyond the end of the waveform not counted."""
    return ((np.asarray(starts, dtype=np.float64) + min(length, samples) / 2) / RATE).astype(np.float32)
