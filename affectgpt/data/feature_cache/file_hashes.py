"""SHA-256 of the files of clips, stored with size and time of change so that no file is hashed twice."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from affectgpt.data.example import Example
from affectgpt.data.feature_cache.journal import Journal, escape_non_unicode
from affectgpt.data.feature_cache.keys import content_key
from affectgpt.files.hashing import sha256_of_file
from affectgpt.registry.errors import DataError, Problem

FILES = "files.jsonl"
_AT_ONCE = 64


class FileRow(BaseModel):
    """A file as it was when it was hashed: its absolute path, bytes, time of change, SHA-256."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileStat(NamedTuple):
    """Size, time of change and SHA-256 of a file when it was hashed."""

    size: int
    mtime_ns: int
    sha256: str


def file_journal(folder: Path) -> Journal[FileRow]:
    """The hashes that the cache in `folder` remembers."""
    return Journal(folder / FILES, TypeAdapter(FileRow))


def read_file_stats(journal: Journal[FileRow]) -> tuple[dict[str, FileStat], int]:
    """The files that a journal names, of several rows for one file the last; and the journal's end in bytes."""
    stats, end = {}, 0
    for row, end in journal.rows():  # noqa: B007 - the last one is given back
        stats[row.path] = FileStat(row.size, row.mtime_ns, row.sha256)
    return stats, end


def media_paths(example: Example) -> tuple[Path | None, Path | None, Path | None]:
    """The files that decide what an example's media are."""
    return example.video, example.sound, example.faces


def absolute_path(path: Path) -> str:
    """The absolute path, as the cache stores it."""
    return escape_non_unicode(os.path.abspath(path))


def first_changed(paths: Iterable[Path | None], stats: Mapping[str, FileStat | Problem]) -> Path | None:
    """The first of `paths` whose size or time differs from `stats`; None when none does."""
    return next((path for path in paths if path is not None and _unchanged(path, stats) is None), None)


def _unchanged(path: Path, stats: Mapping[str, FileStat | Problem]) -> FileStat | None:
    facts = stats.get(absolute_path(path))
    try:
        stat_result = os.stat(path)
    except (OSError, ValueError):
        return None
    if not isinstance(facts, FileStat):
        return None
    return facts if (facts.size, facts.mtime_ns) == (stat_result.st_size, stat_result.st_mtime_ns) else None


def hash_files(
    examples: Sequence[Example],
    stats: Mapping[str, FileStat],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[dict[str, FileStat | Problem]]:
    """Hash the files of `examples` that are new or changed, some at a time and in their order, on `workers` threads.

    Yields stats by absolute path; a Problem for a file that cannot be read.
    """
    paths = {absolute_path(path): path for example in examples for path in media_paths(example) if path is not None}
    new = [(name, path) for name, path in paths.items() if _unchanged(path, stats) is None]
    with ThreadPoolExecutor(max(1, workers)) as threads:
        for start in range(0, len(new), _AT_ONCE):
            batch = new[start : start + _AT_ONCE]
            yield dict(
                zip([name for name, _ in batch], threads.map(_hash_file, [path for _, path in batch]), strict=True)
            )
            if progress:
                progress(min(start + _AT_ONCE, len(new)), len(new))


def _hash_file(path: Path) -> FileStat | Problem:
    try:
        stat_result = os.stat(path)
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(stat_result.st_mode):
            return Problem("this is no file", str(path), hint="name a media file")
        return FileStat(stat_result.st_size, stat_result.st_mtime_ns, sha256_of_file(path))
    except (OSError, ValueError) as error:
        return Problem("the file cannot be read", str(path), getattr(error, "strerror", None) or str(error))


def hash_weights(paths: Sequence[Path], stats: Mapping[str, FileStat]) -> dict[Path, FileStat]:
    """The stats of the files of a model. Raises DataError for one that cannot be read."""
    facts = {path: _unchanged(path, stats) or _hash_file(path) for path in paths}
    problems = [fact for fact in facts.values() if isinstance(fact, Problem)]
    if problems:
        raise DataError.from_problems(problems)
    return {path: fact for path, fact in facts.items() if isinstance(fact, FileStat)}


class ContentKeys(NamedTuple):
    """The content of clips: `keys` by name, and why a clip has none: `problems` by name."""

    keys: dict[str, str]
    problems: dict[str, Problem]


def content_keys(
    examples: Sequence[Example], stats: Mapping[str, FileStat | Problem], reads: Collection[str]
) -> ContentKeys:
    """The [content_key][] of each example, from the stats of its files and what else the encoders read."""
    keys, problems = {}, {}
    for example in examples:
        file_stats = [None if path is None else stats[absolute_path(path)] for path in media_paths(example)]
        problem = next((fact for fact in file_stats if isinstance(fact, Problem)), None)
        if problem is not None:
            problems[example.name] = problem
        else:
            keys[example.name] = content_key(
                [fact.sha256 if isinstance(fact, FileStat) else None for fact in file_stats],
                example.subtitle if "subtitle" in reads else None,
            )
    return ContentKeys(keys, problems)
