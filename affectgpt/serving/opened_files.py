"""Prefetch clips: several workers read and prepare them; a clip that cannot be read becomes an error."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from affectgpt.core.describing import OneClip
from affectgpt.core.streams import AbsentError
from affectgpt.core.tokens import Prepared
from affectgpt.data.samples import Prepare
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import AffectGPTError, Problem
from affectgpt.workers.prefetch import prefetch

BYTES = "<bytes>"
"""The name of a clip that is the content of a media file."""


@dataclass(frozen=True, eq=False)
class OpenedFile:
    """A clip that was read and prepared, and how many seconds that took."""

    file: str
    media: dict[str, Prepared | None]
    subtitle: str
    notes: list[str]
    seconds: float


@dataclass(frozen=True)
class BrokenFile:
    """A clip that cannot be read or killed its worker, with the problem; `is_absent`: it was read and holds nothing."""

    file: str
    problems: tuple[Problem, ...]
    is_absent: bool = False

    @property
    def error(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def opened_files(
    clips: Sequence[OneClip], prepare: Prepare, subtitle: str | None, workers: int
) -> Generator[OpenedFile | BrokenFile]:
    """All clips in order, prefetched by `workers` processes. `subtitle`, unless None, replaces that of each clip."""

    def open_one(index: int) -> OpenedFile | BrokenFile:
        name = clip_name(clips[index])
        start = time.perf_counter()
        try:
            clip, media = _read(clips[index], prepare, subtitle)
        except AffectGPTError as error:
            return BrokenFile(name, error.problems, isinstance(error, AbsentError))
        return OpenedFile(name, media, clip.subtitle, list(clip.notes), time.perf_counter() - start)

    def on_death(index: int, how: str) -> BrokenFile:
        name = clip_name(clips[index])
        problem = Problem(
            "the process that read this file died",
            where=name,
            found=how,
            hint="the file may be damaged, or need more memory than there is",
        )
        return BrokenFile(name, (problem,))

    return prefetch(open_one, len(clips), workers, on_death)


def clip_name(clip: OneClip) -> str:
    """The path of a clip, or [BYTES][]."""
    if isinstance(clip, bytes):
        return BYTES
    return str(clip.path) if isinstance(clip, Clip) else str(clip)


def _read(clip: OneClip, prepare: Prepare, subtitle: str | None) -> tuple[Clip, dict[str, Prepared | None]]:
    if isinstance(clip, bytes):
        return _read_bytes(clip, prepare, subtitle)
    if isinstance(clip, Clip):
        opened = copy(clip)
        opened.subtitle = clip.subtitle if subtitle is None else subtitle
    else:
        opened = Clip.open(clip, subtitle=subtitle)
    return opened, prepare(opened)


def _read_bytes(content: bytes, prepare: Prepare, subtitle: str | None) -> tuple[Clip, dict[str, Prepared | None]]:
    """Write them to a new folder: libav can seek in a file, and no other file there is taken for its sidecar."""
    with tempfile.TemporaryDirectory(prefix="affectgpt-clip-") as folder:
        path = Path(folder) / "clip"
        path.write_bytes(content)
        try:
            opened = Clip.open(path, subtitle=subtitle or "")
            return opened, prepare(opened)
        except AffectGPTError as error:
            raise type(error).from_problems(
                [
                    Problem(
                        problem.what,
                        problem.where.replace(str(path), BYTES),
                        problem.found,
                        problem.expected,
                        problem.hint,
                    )
                    for problem in error.problems
                ]
            ) from error
