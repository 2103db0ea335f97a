"""The sound of a room in which nobody speaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sound_of_a_room(rng: np.random.Generator, *, seconds: float, rate: int) -> NDArray[np.float32]:
    """Noise, in two of three rooms with the hum of a machine or a few struck notes, `[seconds * rate]` in [-1, 1]."""
    count = round(seconds * rate)
    times = np.arange(count) / rate
    sound = 0.02 * room_noise(rng, count)
    kind = rng.integers(3)
    if kind == 1:
        mains = float(rng.choice((50.0, 60.0)))
        sound += 0.04 * _harmonics(times, mains * float(rng.integers(1, 4)))
    elif kind == 2:
        moment = float(rng.uniform(0, 0.5))
        while moment < seconds:
            after = np.maximum(times - moment, 0)
            note = _harmonics(after, 220 * 2 ** (float(rng.integers(0, 25)) / 12))
            sound += 0.05 * note * np.exp(-after / float(rng.uniform(0.1, 0.5))) * (times >= moment)
            moment += float(rng.uniform(0.3, 1.0))
    return np.tanh(sound).astype(np.float32)


def room_noise(rng: np.random.Generator, count: int) -> Array:
    """Noise of unit level whose spectrum falls with 0 to 6 dB an octave, `[count]` at 16 kHz."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    bins = np.maximum(np.arange(len(spectrum)), count * 40 / 16_000)
    noise = np.fft.irfft(spectrum * bins ** -rng.uniform(0.0, 1.0), count)
    level: np.floating = np.sqrt(np.mean(np.square(noise)))
    return np.asarray(noise / level, dtype=np.float64)


def _harmonics(times: Array, hertz: float) -> Array:
    harmonics = [np.sin(2 * np.pi * hertz * part * times) / part for part in range(1, 5)]
    return np.asarray(np.sum(harmonics, axis=0), dtype=np.float64)
