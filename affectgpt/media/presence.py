"""By what rules a clip counts as having a face and a voice. See [Clip.present][]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

FaceRule = Literal["found", "always"]
"""`found`: a face that a detector finds. `always`: any picture; where no face is found, the whole frame stands for it."""

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
    return True
