"""How a synthetic clip moves over time: when a cue shows, how the head sways, when the eyes blink."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.floating]
Course = Callable[[Times], NDArray[np.float64]]
"""A function of time: seconds `[N]` -> values `[N]`."""


def cue_course(rng: np.random.Generator, *, seconds: float, strength: float, share: float) -> Course:
    """A cue that rises to `strength` (0 to 1), holds, and falls: above half of it for `share` of the clip.

    Where in the clip it lies is drawn; at `share` 1 it holds from the first to the last moment.
    """
    if share >= 1:
        return lambda times: np.full(np.shape(times), strength, dtype=np.float64)
    duration = share * seconds
    start = float(rng.uniform(0, seconds - duration))
    rise, fall = (min(float(value), duration) for value in rng.uniform(0.15, 0.5, 2))

    def course(times: Times) -> NDArray[np.float64]:
        up = np.clip((times - start) / rise + 0.5, 0, 1)
        down = np.clip((start + duration - times) / fall + 0.5, 0, 1)
        return strength * (0.5 - 0.5 * np.cos(np.pi * np.minimum(up, down)))

    return course


def sway(rng: np.random.Generator, amplitude: float) -> Course:
    """Slow drift around zero: three sines of 0.1 to 0.7 Hz with random phases, at most `amplitude` in sum."""
    rates, phases = rng.uniform(0.1, 0.7, 3), rng.uniform(0, 2 * np.pi, 3)
    weights = rng.dirichlet(np.ones(3)) * amplitude

    def course(times: Times) -> NDArray[np.float64]:
        return np.sin(2 * np.pi * np.multiply.outer(times, rates) + phases) @ weights

    return course


def blinks(rng: np.random.Generator, seconds: float) -> Course:
    """How far the lids are shut (0 to 1): blinks of about 0.25 s, 1.5 to 5 s apart."""
    centers: list[float] = []
    moment = float(rng.uniform(0.2, 4.0))
    while moment < seconds:
        centers.append(moment)
        moment += float(rng.uniform(1.5, 5.0))
    moments = np.asarray(centers)

    def course(times: Times) -> NDArray[np.float64]:
        if not len(moments):
            return np.zeros(np.shape(times))
        distance = np.abs(np.subtract.outer(times, moments)).min(axis=1)
        return np.asarray(np.clip(1.4 - distance / 0.09, 0, 1))

    return course


def lip_opening(rng: np.random.Generator, loudness: NDArray[np.float64], rate: float, times: Times) -> Times:
    """How far speech opens the mouth at `times [N]` (0 to 1), from a loudness curve of `rate` values a second.

    The mouth follows the phrases: loudness averaged over 0.3 s, relative to the clip's own loud moments. Within a
    phrase it has a rhythm of its own, because lips that moved with every syllable would show the voice's pace,
    and with it the voice cue, to a model that hears nothing.
    """
    width = max(1, round(0.3 * rate))
    smooth = np.convolve(loudness, np.ones(width) / width, mode="same")
    phrase = np.clip(2.0 * smooth / (np.quantile(smooth, 0.9) + 1e-9), 0, 1)
    pace, phase = rng.uniform(2.4, 3.8), rng.uniform(0, 2 * np.pi)
    wobble = 0.55 + 0.45 * np.sin(2 * np.pi * pace * times + phase + 2.0 * sway(rng, 1.0)(times))
    return np.asarray(np.interp(times, np.arange(len(phrase)) / rate, phrase) * wobble)
