"""By what rules a clip counts as having a face and a voice. See [Clip.present][]."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

RATE = 16000
FACE_SHARE = 0.25
"""Of the frames that are read, how many must show a face: a detector errs in single ones."""
LONGEST_PIECE, MOST_PIECES = 6 * RATE, 20
"""Samples of sound in which speech is looked for at once, and how many times at most: in 2 minutes of a sound."""

FaceRule = Literal["found", "always"]
"""`found`: a face that a detector finds. `always`: where none is found, the whole frame stands for it."""

VoiceRule = Literal["cues", "net", "always"]
"""`cues`: speech by its rhythm and melody. `net`: speech by a net whose weights were fetched. `always`: any sound."""


@dataclass(frozen=True)
class Presence:
    """The rules. `threshold` is the probability of speech from which `net` calls a moment spoken."""

    face: FaceRule = "always"
    voice: VoiceRule = "always"
    threshold: float = 0.5


def is_spoken(samples: np.ndarray, rules: Presence) -> bool:
    """True when there is speech in one of the [pieces][] of a waveform float32 `[S]` at 16 kHz.

    Raises CheckpointError when the rule is `net` and its weights were not fetched.
    """
    if rules.voice == "net":
        from affectgpt.weights.voice_activity import is_speech

        return any(is_speech(samples[start:end], rules.threshold) for start, end in pieces(len(samples)))
    from affectgpt.media.voicing import is_speech_by_cues

    return any(is_speech_by_cues(samples[start:end]) for start, end in pieces(len(samples)))


def pieces(samples: int) -> list[tuple[int, int]]:
    """First sample and end of each piece of a waveform to look at: they depend on nothing but its length.

    Up to 2 minutes the whole waveform in equal pieces of at most 6 s. Of a longer one 20 pieces of 6 s: the first at
    its start, the last at its end, the others evenly between.
    """
    count = max(1, -(-samples // LONGEST_PIECE))
    if count > MOST_PIECES:
        starts = [(samples - LONGEST_PIECE) * index // (MOST_PIECES - 1) for index in range(MOST_PIECES)]
        return [(start, start + LONGEST_PIECE) for start in starts]
    return list(pairwise(samples * index // count for index in range(count + 1)))
