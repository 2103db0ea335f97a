"""One labelled clip as every dataset reader of this project gives it. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A clip with what is known about it.

    - `name`: unique within its dataset.
    - `video`: the media file.
    - `subtitle`: what is said, "" when unknown.
    - `labels`: open-vocabulary emotion words, in the order of the source; empty when the source has none.
    - `description`: the text a model is trained to give, "" when the source has labels only.
    - `sentiment`: from negative to positive, in the units of the source; None when it has none.
    - `sound`, `faces`: a separate sound file, and an array of face pictures (`[T, H, W, 3]` uint8, BGR), if any.
    """

    name: str
    video: Path
    subtitle: str
    labels: tuple[str, ...]
    description: str
    sentiment: float | None = None
    sound: Path | None = None
    faces: Path | None = None
