"""Emotion wheels as the metrics see them: a label goes in, the name of its sector comes out, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LEVELS = (1, 2)
Tree = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Level-1 sector -> level-2 sector -> words, in the wheel's own order (clockwise)."""


@dataclass(frozen=True, eq=False)
class Wheel:
    """One wheel.

    - `tree`: its sectors and words, for drawing and listing.
    - `sector`: `sector(label, level)` is the sector of a label (lower-case, stripped) at level 1 or 2, None when the
      label has no place on this wheel. The same answer for the same label, always.
    """

    name: str
    tree: Tree
    sector: Callable[[str, int], str | None]


@dataclass(frozen=True, eq=False)
class WheelSet:
    """The wheels that a score is the mean over.

    - `name`: what a report calls it; `source`: where it was read from.
    - `official`: True only for the published wheels, read from the folder that their owners distribute.
    - `fingerprint`: a hash of its content, so that two scores can be known to rest on the same wheels.
    """

    name: str
    wheels: tuple[Wheel, ...]
    source: str
    official: bool
    fingerprint: str
    citations: tuple[str, ...] = field(default=())
