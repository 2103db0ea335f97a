"""What the files of clips hold, as hashes, remembered with size and time so that no file is read twice."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from affectgpt.data.example import Example
from affectgpt.data.feature_cache.journal import Journal, as_text
from affectgpt.data.feature_cache.keys import content_key
from affectgpt.files.hashing import hash_of
from affectgpt.registry.errors import Problem

FILES = "files.jsonl"
_AT_ONCE = 64


class FileRow(BaseModel):
    """A file as it was when it was hashed: its absolute path, bytes, time of change, SHA-256."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Facts(NamedTuple):
    """What is known of a file."""

    size: int
    mtime_ns: int
    sha256: str


def file_journal(folder: Path) -> Journal[FileRow]:
    """The hashes that the cache in `folder` remembers."""
    return Journal(folder / FILES, TypeAdapter(FileRow))


def read_known(journal: Journal[FileRow]) -> tuple[dict[str, Facts], int]:
    """The files that a journal names, of several rows for one file the last; and the journal's end in bytes."""
    known, end = {}, 0
    for row, end in journal.rows():  # noqa: B007 - the last one is given back
        known[row.path] = Facts(row.size, row.mtime_ns, row.sha256)
    return known, end


def paths_of(example: Example) -> tuple[Path | None, Path | None, Path | None]:
    """The files that decide what an example's media are."""
    return example.video, example.sound, example.faces


def place_of(path: Path) -> str:
    """A path as the cache knows it: absolute."""
    return as_text(os.path.abspath(path))


def changed(paths: Iterable[Path | None], known: Mapping[str, Facts]) -> Path | None:
    """The first of `paths` that is not as `known` has it; None when all are."""
    return next((path for path in paths if path is not None and _unchanged(path, known) is None), None)


def _unchanged(path: Path, known: Mapping[str, Facts]) -> Facts | None:
    facts = known.get(place_of(path))
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return facts if facts is not None and (facts.size, facts.mtime_ns) == (found.st_size, found.st_mtime_ns) else None


def hash_new(
    examples: Sequence[Example],
    known: Mapping[str, Facts],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[dict[str, Facts | Problem]]:
    """Hash the files of `examples` that are new or changed, some at a time and in their order, on `workers` threads.

    Yields what was found by absolute path: a file that cannot be read is a Problem.
    """
    paths = {place_of(path): path for each in examples for path in paths_of(each) if path is not None}
    new = [(name, path) for name, path in paths.items() if _unchanged(path, known) is None]
    with ThreadPoolExecutor(max(1, workers)) as threads:
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            yield dict(zip([name for name, _ in some], threads.map(_hashed, [path for _, path in some]), strict=True))
            if progress:
                progress(min(start + _AT_ONCE, len(new)), len(new))


def _hashed(path: Path) -> Facts | Problem:
    try:
        found = os.stat(path)
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(found.st_mode):
            return Problem("this is no file", str(path), hint="name a media file")
        return Facts(found.st_size, found.st_mtime_ns, hash_of(path))
    except (OSError, ValueError) as error:
        return Problem("the file cannot be read", str(path), getattr(error, "strerror", None) or str(error))


class Contents(NamedTuple):
    """The content of clips: `keys` by name, and why a clip has none: `problems` by name."""

    keys: dict[str, str]
    problems: dict[str, Problem]


def contents(examples: Sequence[Example], found: Mapping[str, Facts | Problem]) -> Contents:
    """The [content_key][] of each example, from what is known of its files."""
    keys, problems = {}, {}
    for example in examples:
        facts = [None if path is None else found[place_of(path)] for path in paths_of(example)]
        problem = next((each for each in facts if isinstance(each, Problem)), None)
        if problem is not None:
            problems[example.name] = problem
        else:
            keys[example.name] = content_key([each.sha256 if isinstance(each, Facts) else None for each in facts])
    return Contents(keys, problems)
