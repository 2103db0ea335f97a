"""One labelled clip, and what a dataset reader returns: examples with the problems it met. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.registry.errors import DataError, Problem

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


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

    def open(self) -> Clip:
        """The open clip, with its subtitle, separate sound and face pictures. Raises MediaError as [Clip.open][]."""
        from affectgpt.media.clip import Clip

        return Clip.open(self.video, subtitle=self.subtitle, sound=self.sound, faces=self.faces)


@dataclass(frozen=True)
class ReadReport:
    """What a reader returns of one data set: the clips that can be opened, the number of rows, and all problems."""

    examples: Sequence[Example]
    row_count: int
    problems: Sequence[Problem]

    def examples_or_raise(self) -> list[Example]:
        """The clips. Raises DataError when there is any problem."""
        if self.problems:
            raise DataError.from_problems(self.problems)
        return list(self.examples)
