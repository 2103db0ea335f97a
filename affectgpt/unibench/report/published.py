"""The published MER-UniBench scores, in percent, for putting a score beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Lian et al., 2025, arXiv:2501.16566"
SOURCE_URL = "https://arxiv.org/abs/2501.16566"

TITLES = MappingProxyType(
    {
        "mer2023": "MER2023",
        "mer2024": "MER2024",
        "meld": "MELD",
        "iemocap": "IEMOCAP",
        "mosi": "CMU-MOSI",
        "mosei": "CMU-MOSEI",
        "sims": "CH-SIMS",
        "simsv2": "CH-SIMS v2",
        "ovmerdplus": "OV-MERD+",
    }
)
"""The columns of the published table, in its order: key -> name."""


@dataclass(frozen=True)
class PublishedSystem:
    """A published row: `scores` by a key of [TITLES][] and their `mean`, in percent; empty where not reported.

    `inputs` are the letters of the modalities given: audio, video, text. `second_hand`: not read at its source.
    """

    system: str
    inputs: str
    scores: MappingProxyType[str, float]
    mean: float
    second_hand: bool = False

    @property
    def name(self) -> str:
        """The system with its inputs, which tells the AffectGPT rows apart."""
        return f"{self.system} ({self.inputs})" if self.inputs else self.system


def _row(system: str, inputs: str, *scores: float, mean: float) -> PublishedSystem:
    return PublishedSystem(system, inputs, MappingProxyType(dict(zip(TITLES, scores, strict=True))), mean)


SYSTEMS = (
    _row("PandaGPT", "AVT", 40.21, 51.89, 37.88, 44.04, 61.92, 67.61, 68.38, 67.23, 37.12, mean=52.92),
    _row("Emotion-LLaMA", "AVT", 59.38, 73.62, 46.76, 55.47, 66.13, 67.66, 78.32, 77.23, 52.97, mean=64.17),
    _row("AffectGPT", "AVT", 78.54, 78.80, 55.65, 60.54, 81.30, 80.90, 88.49, 86.18, 62.52, mean=74.77),
    _row("AffectGPT", "VT", 74.58, 75.29, 57.63, 62.19, 82.39, 81.57, 87.20, 86.29, 61.65, mean=74.31),
    _row("AffectGPT", "AT", 72.94, 73.41, 56.63, 55.68, 83.46, 80.74, 82.99, 83.75, 59.98, mean=72.18),
    _row("SALMONN", "AT", 55.53, 45.38, 45.62, 46.84, 81.00, 67.03, 68.69, 65.93, 45.00, mean=57.89),
    _row("mPLUG-Owl", "VT", 56.86, 59.89, 49.11, 55.54, 72.40, 72.91, 72.13, 75.00, 48.18, mean=62.45),
)
"""The rows of [SOURCE][], in its order."""

REFERENCE = SYSTEMS[2]
"""AffectGPT with all three modalities: the row that every report puts beside a score."""

SECOND_HAND = (
    PublishedSystem("AffectGPT-R1", "", MappingProxyType({}), 79.48, second_hand=True),
    PublishedSystem("MER-R1", "", MappingProxyType({}), 83.50, second_hand=True),
)
"""Means reported later, taken from other works that cite them."""


def column_of(*names: str) -> str | None:
    """The key in [TITLES][] of the data set that one of `names` (its key, its title) means, None when none does."""
    for name in names:
        key = re.sub(r"[\W_]", "", name.lower().replace("+", "plus"))
        key = re.sub(r"^(cmu|ch)(?=mos|sims)", "", key)
        if key in TITLES:
            return key
    return None
