"""Files of a command line, opened and prepared ahead of the model by several processes; a broken one is a row."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectgpt.core.tokens import Prepared
from affectgpt.data.samples import Prepare
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import AffectGPTError, Problem
from affectgpt.workers.prefetch import read_ahead


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A file that was read and prepared, and the seconds that took."""

    file: str
    media: dict[str, Prepared | None]
    subtitle: str
    notes: list[str]
    seconds: float


@dataclass(frozen=True)
class BrokenFile:
    """A file that could not be read, or that killed the process that read it, and why."""

    file: str
    error: str


def opened_files(
    files: Sequence[Path], prepare: Prepare, subtitle: str | None, workers: int
) -> Generator[OpenedFile | BrokenFile]:
    """All files in order, read ahead by `workers` processes; `subtitle` stands for that of each file when given."""

    def opened(index: int) -> OpenedFile | BrokenFile:
        began = time.perf_counter()
        try:
            clip = Clip.open(files[index], subtitle=subtitle)
            media = prepare(clip)
        except AffectGPTError as error:
            return BrokenFile(str(files[index]), str(error))
        return OpenedFile(str(files[index]), media, clip.subtitle, list(clip.notes), time.perf_counter() - began)

    def lost(index: int, how: str) -> BrokenFile:
        problem = Problem(
            "the process that read this file died",
            where=str(files[index]),
            found=how,
            hint="the file may be damaged, or need more memory than there is",
        )
        return BrokenFile(str(files[index]), str(problem))

    return read_ahead(opened, len(files), workers, lost)
