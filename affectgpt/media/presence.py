"""By what rules a clip counts as having a face and a voice. See [Clip.present][]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

RATE = 16000
LEAST_PART, LONGEST_PIECE = 2 * RATE, 6 * RATE
"""Samples of sound that speech is looked for in: at least in one part, at most in one piece."""

FaceRule = Literal["found", "always"]
"""`found`: a face that a detector finds. `always`: where none is found, the whole frame stands for it."""

VoiceRule = Literal["cues", "net", "always"]
"""`cues`: speech by its rhythm and melody. `net`: speech by a net whose weights were fetched. `always`: any sound."""

Heard = Callable[[int], Sequence[tuple[int, int]]]
"""Length of a waveform in samples -> first sample and end of each of its parts that are read."""


def heard_all(samples: int) -> Sequence[tuple[int, int]]:
    """The whole waveform as one part."""
    return [(0, samples)]


@dataclass(frozen=True)
class Presence:
    """The rules. `threshold` is the probability of speech from which `net` calls a moment spoken."""

    face: FaceRule = "always"
    voice: VoiceRule = "always"
    threshold: float = 0.5
    heard: Heard = heard_all


def is_spoken(samples: np.ndarray, parts: Sequence[tuple[int, int]], rules: Presence) -> bool:
    """True when there is speech in one of the `parts` of a waveform float32 `[S]` at 16 kHz that are read.

    Raises CheckpointError when the rule is `net` and its weights were not fetched.
    """
    if rules.voice == "net":
        from affectgpt.weights.voice_activity import is_speech

        return any(is_speech(samples[start:end], rules.threshold) for start, end in joined_parts(len(samples), parts))
    from affectgpt.media.voicing import is_speech_by_cues

    return any(is_speech_by_cues(samples[start:end]) for start, end in joined_parts(len(samples), parts))


def joined_parts(samples: int, parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a waveform to look at: each at least 2 s wide where there is as much, overlapping ones joined.

    A part of more than 6 s is looked at piece by piece.
    """
    joined: list[list[int]] = []
    for start, end in sorted(parts):
        start, end = max(0, start), min(end, samples)
        missing = max(0, LEAST_PART - (end - start))
        start = max(0, start - missing // 2)
        end = min(samples, max(end + missing // 2, start + LEAST_PART))
        start = max(0, min(start, end - LEAST_PART))
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        elif start < end:
            joined.append([start, end])
    pieces: list[tuple[int, int]] = []
    for start, end in joined:
        count = max(1, -(-(end - start) // LONGEST_PIECE))
        bounds = [start + (end - start) * index // count for index in range(count + 1)]
        pieces += list(pairwise(bounds))
    return pieces
