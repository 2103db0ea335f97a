"""Whether a sound has speech in it, by its rhythm, its melody and its changing timbre. NumPy only, no weights.

Energy and periodicity alone take a hum, a chord or a tremolo for a voice. Speech is told from them by what these lack:
syllables, that is a level that moves at 2 to 10 Hz without repeating itself; a pitch that neither stands still as a
note's does nor is absent; vowels, that is a timbre which changes while the pitch does not; and consonants, that is
moments without a pitch between those with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

RATE, HOP, WINDOW, POINTS = 16000, 160, 640, 2048
"""Frames of 40 ms every 10 ms; the points of their Fourier transform."""

LOWEST, HIGHEST = 70, 450
"""Pitch is looked for between these, in Hz."""

BAND_EDGES = (150, 450, 750, 1100, 1500, 2000, 2600, 3400, 4500, 6500)
"""Bands in Hz, wide enough that single harmonics hardly show: what moves in them is the timbre."""

SILENCE = -60.0
"""Level in dB of full scale below which nothing is heard."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SpeechCues:
    """What speech is told by; shares are from 0 to 1, pitch is in semitones, levels are in dB.

    - `voiced`, `unvoiced`: shares of the loud frames with and without a pitch. `loud`: their share of all frames.
    - `modulation`: root mean square of the level's movement at 2 to 10 Hz. `repetition`: how much the level is like
      itself 0.08 to 0.6 s before.
    - `glide`, `fast_glide`: median and 90th percentile of the pitch's change in 40 ms, in semitones a second. `still`:
      the share of moments in which it changes by less than a 25th of a semitone.
    - `timbre`: spread of the bands over the voiced frames. `timbre_change`: median change in 60 ms. `vowels`: 75th
      percentile of the difference between voiced moments of one pitch.
    - `periodicity`, `periodicity_spread`: median over voiced frames, spread over loud ones. `run`: mean length of the
      voiced runs in seconds.
    """

    voiced: float
    unvoiced: float
    modulation: float
    repetition: float
    glide: float
    fast_glide: float
    still: float
    timbre: float
    timbre_change: float
    vowels: float
    periodicity: float
    periodicity_spread: float
    run: float
    loud: float


# Least and greatest value of a cue that is told from others; beyond them it counts as the nearer one.
_RANGES = {
    "voiced": (0.0, 1.0),
    "unvoiced": (0.0, 0.6),
    "modulation": (0.0, 9.0),
    "repetition": (0.0, 1.0),
    "glide": (0.0, 35.0),
    "fast_glide": (0.0, 60.0),
    "still": (0.0, 1.0),
    "timbre": (0.0, 12.0),
    "timbre_change": (0.0, 8.0),
    "vowels": (0.0, 20.0),
    "periodicity": (0.5, 1.0),
    "periodicity_spread": (0.0, 0.35),
    "run": (0.0, 2.0),
    "loud": (0.0, 1.0),
}

# Two logistic regressions on the cues and their squares, in the order of _RANGES: lively speech and monotonous speech.
# Fitted on 75 recorded and synthesised utterances, clean and in noise, 400 voices of `affectgpt.synthetic`, and some
# 2,200 drawn sounds of 23 kinds: noise, tones, vibrato, tremolo, chords, sawtooth, hum, sweeps, sirens, melodies, notes
# that ring on, drums and others. Fitted on half of them, it takes 2% of the other half's music for speech.
_LIVELY = (
    0.5,
    (0.5, 0.6, 9.8, 5.8, 9.5, 8.4, -11.4, -0.8, 1.3, 5.5, 1.1, -1.9, 4.3, -4.1),
    (-0.5, -6.8, -5.1, -7.0, -8.8, -9.3, -5.2, -4.1, 0.1, -2.1, 2.6, 1.4, 0.8, -8.3),
)
_MONOTONOUS = (
    -3.7,
    (2.1, -1.2, 5.6, 4.7, -5.6, -2.5, -5.7, -2.7, -1.5, 3.4, 3.1, 2.2, 1.2, -1.4),
    (1.0, -2.4, 0.1, -2.6, -2.4, -4.1, -9.7, -6.3, -2.9, -2.8, 4.7, -0.5, 1.5, -3.5),
)
_LEAST_LOGIT = 0.5


def is_speech_by_cues(samples: np.ndarray) -> bool:
    """True when a sound float32 `[S]` at 16 kHz is spoken. Meant for 0.5 to 6 s: in less there is no rhythm."""
    cues = speech_cues(samples)
    return cues is not None and speech_logit(cues) >= _LEAST_LOGIT


def speech_logit(cues: SpeechCues) -> float:
    """How likely the cues are those of speech: a logit, minus infinity where one of them alone rules speech out."""
    ruled_out = (
        cues.voiced < 0.35
        or cues.unvoiced > 0.5
        or cues.modulation < 1.15
        or cues.fast_glide < 3
        or cues.timbre < 1.8
        or not 0.57 <= cues.periodicity <= 0.995
        or cues.periodicity_spread < 0.022
        or cues.loud > 0.95
    )
    if ruled_out:
        return -np.inf
    values = [np.clip(getattr(cues, name), low, high) / high for name, (low, high) in _RANGES.items()]
    x = np.array(values)
    return float(
        max(offset + np.dot(linear, x) + np.dot(square, x * x) for offset, linear, square in (_LIVELY, _MONOTONOUS))
    )


def speech_cues(samples: np.ndarray) -> SpeechCues | None:
    """The cues of a sound float32 `[S]` at 16 kHz; None when less than 0.1 s of it has a pitch."""
    if len(samples) < WINDOW + 20 * HOP:
        return None
    pitch, periodicity, level, bands = _frames(samples)
    quiet, top = np.percentile(level, (5, 95))
    loud = level > max(top - 30, (max(quiet, -90) + top) / 2 - 3, SILENCE)
    voiced = loud & (periodicity > 0.5)
    if np.count_nonzero(voiced) < 10:
        return None
    relative = bands - bands.mean(axis=1, keepdims=True)
    runs = _runs(voiced)
    steps = np.concatenate([[0.0], *(np.abs(pitch[a + 4 : b] - pitch[a : b - 4]) for a, b in runs if b - a >= 6)])
    steps = steps[1:][steps[1:] < 3] if len(steps) > 1 else steps
    changes = [np.abs(relative[a + 6 : b] - relative[a : b - 6]).mean(axis=1) for a, b in runs if b - a > 8]
    lengths = [b - a for a, b in runs if b - a >= 4]
    modulation, repetition = _rhythm(bands)
    count = np.count_nonzero(loud)
    return SpeechCues(
        voiced=float(np.count_nonzero(voiced) / count),
        unvoiced=float(np.count_nonzero(loud & (periodicity < 0.35)) / count),
        modulation=modulation,
        repetition=repetition,
        glide=float(np.median(steps)) * RATE / HOP / 4 if len(steps) else 0.0,
        fast_glide=float(np.percentile(steps, 90)) * RATE / HOP / 4 if len(steps) else 0.0,
        still=float(np.mean(steps < 0.04)) if len(steps) else 1.0,
        timbre=float(relative[voiced].std(axis=0).mean()),
        timbre_change=float(np.median(np.concatenate(changes))) if changes else 0.0,
        vowels=_vowels(relative, pitch, voiced),
        periodicity=float(np.median(periodicity[voiced])),
        periodicity_spread=float(periodicity[loud].std()),
        run=float(np.mean(lengths)) * HOP / RATE if lengths else 0.0,
        loud=float(loud.mean()),
    )


def _frames(samples: np.ndarray) -> tuple[Array, Array, Array, Array]:
    """Per frame: pitch in semitones over 100 Hz, periodicity from 0 to 1, level in dB, bands `[9]` in dB.

    Pitch by autocorrelation, divided by the window's own (Boersma, 1993, without his path search): of the lags with at
    least 0.9 of the best value the shortest, up to its local maximum, refined by a parabola.
    """
    signal = np.asarray(samples, np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    window = np.hanning(WINDOW)
    shortest, longest = RATE // HIGHEST, RATE // LOWEST
    power = np.abs(np.fft.rfft(frames * window, POINTS)) ** 2
    envelope = np.fft.irfft(np.abs(np.fft.rfft(window, POINTS)) ** 2)[: longest + 2]
    correlation = np.fft.irfft(power)[:, : longest + 2]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12) / (envelope / envelope[0])
    lags = correlation[:, shortest : longest + 1]
    rows = np.arange(len(frames))
    lag = (lags >= 0.9 * lags.max(axis=1, keepdims=True)).argmax(axis=1)
    while True:
        following = np.minimum(lag + 1, lags.shape[1] - 1)
        rising = lags[rows, following] > lags[rows, lag]
        if not rising.any():
            break
        lag = np.where(rising, following, lag)
    lag = lag + shortest
    before, peak, after = (correlation[rows, lag + shift] for shift in (-1, 0, 1))
    bend = before - 2 * peak + after
    curved = np.abs(bend) > 1e-12
    offset = np.where(curved, 0.5 * (before - after) / np.where(curved, bend, 1), 0).clip(-0.5, 0.5)
    hertz = np.arange(power.shape[1]) * RATE / POINTS
    edges = list(pairwise(BAND_EDGES))
    bands = np.stack([power[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in edges], axis=1)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
    return 12 * np.log2(RATE / (lag + offset) / 100), peak, level, 10 * np.log10(bands + 1e-7)


def _runs(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _rhythm(bands: Array) -> tuple[float, float]:
    """The level's movement at 2 to 10 Hz in dB, and how much it repeats itself from -1 to 1."""
    energy = 10 * np.log10((10 ** (bands / 10)).sum(axis=1) + 1e-7)
    smooth = np.hanning(9) / np.hanning(9).sum()
    level = np.convolve(np.maximum(energy, energy.max() - 40), smooth, "same")
    level = level - level.mean()
    window = np.hanning(len(level))
    points = max(4096, 1 << (len(level) - 1).bit_length())
    spectrum = np.abs(np.fft.rfft(level * window, points)) ** 2
    hertz = np.arange(len(spectrum)) * (RATE / HOP) / points
    moved = spectrum[(hertz >= 2) & (hertz <= 10)].sum() * 2 / points / (window**2).sum()
    lags = range(8, min(60, len(level) // 2))
    if level.std() <= 1e-3 or not lags:
        return float(np.sqrt(moved)), 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        likeness = [np.corrcoef(level[:-lag], level[lag:])[0, 1] for lag in lags]
    return float(np.sqrt(moved)), float(np.nan_to_num(np.nanmax(likeness)))


def _vowels(relative: Array, pitch: Array, voiced: NDArray[np.bool_]) -> float:
    """How much the timbre differs between voiced moments of one pitch that are more than 80 ms apart, in dB."""
    moments = np.flatnonzero(voiced)
    if len(moments) <= 20:
        return 0.0
    moments = moments[:: max(1, len(moments) // 150)]
    difference = np.abs(relative[moments][:, None] - relative[moments][None]).mean(axis=2)
    distant = np.abs(moments[:, None] - moments[None]) > 8
    one_pitch = distant & (np.abs(pitch[moments][:, None] - pitch[moments][None]) < 0.5)
    if np.count_nonzero(one_pitch) > 30:
        return float(np.percentile(difference[one_pitch], 75))
    return float(np.median(difference[distant])) if distant.any() else 0.0
