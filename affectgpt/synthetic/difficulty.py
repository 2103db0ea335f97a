"""How hard the synthetic clips are: ranges from which each clip draws. No numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from affectgpt.registry.errors import ConfigError, Problem

Range = tuple[float, float]

_BOUNDS: dict[str, Range] = {
    "face_strength": (0.0, 1.0),
    "voice_strength": (0.0, 1.0),
    "face_share": (0.05, 1.0),
    "voice_share": (0.05, 1.0),
    "camera_noise": (0.0, 60.0),
    "voice_snr": (-20.0, 80.0),
    "seconds": (1.0, 60.0),
}


@dataclass(frozen=True)
class Difficulty:
    """Ranges (least, most); every clip draws a value of each, evenly, whatever its emotion.

    - `face_strength`, `voice_strength`: how far from neutral (0) the cue goes at its height (1).
    - `face_share`, `voice_share`: the share of the clip during which the cue shows; each cue has its own moment.
    - `camera_noise`: standard deviation of the pixel noise in grey levels of 255, before compression.
    - `voice_snr`: speech over background noise in dB.
    - `seconds`: length of a clip.

    Raises ConfigError when a range is reversed or leaves what the generator can draw.
    """

    face_strength: Range = (0.75, 1.0)
    voice_strength: Range = (0.75, 1.0)
    face_share: Range = (0.65, 1.0)
    voice_share: Range = (0.65, 1.0)
    camera_noise: Range = (2.0, 14.0)
    voice_snr: Range = (5.0, 25.0)
    seconds: Range = (2.0, 6.0)

    def __post_init__(self) -> None:
        problems = []
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), _BOUNDS[field.name]
            if not _is_range(value, low, high):
                expected = f"two numbers, least first, from {low:g} to {high:g}"
                problems.append(Problem("not a usable range", f"difficulty {field.name}", repr(value), expected))
        if problems:
            raise ConfigError.from_problems(problems)


def _is_range(value: object, low: float, high: float) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in value):
        return False
    return bool(low <= value[0] <= value[1] <= high)
