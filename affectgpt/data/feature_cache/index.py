"""The index of a cache: for every clip where its features lie and their checksums, or why it has none.

Rows come in groups. A group ends with a row that names its shard, written after the shard itself: what follows the last
such row is of a run that was stopped, and does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from affectgpt.data.feature_cache.journal import Journal, escape_non_unicode
from affectgpt.data.feature_cache.settings import Key
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import DataError, Problem

INDEX = "index.jsonl"
_MOST_SHARDS = 10_000_000


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class FeatureRow(_Row):
    """What one encoder gave of a clip: the number of `tokens`, and the checksums of their values and times."""

    tokens: Annotated[int, Field(ge=1)]
    values: Key
    times: Key


class ClipRow(_Row):
    """A clip that was encoded. `features` by encoder, None where the clip lacks the stream."""

    row: Literal["clip"] = "clip"
    clip: Key
    name: str
    seconds: Annotated[float, Field(ge=0)]
    notes: list[str]
    features: dict[str, FeatureRow | None]


class BrokenRow(_Row):
    """A clip that could not be read, and why."""

    row: Literal["unreadable"] = "unreadable"
    clip: Key
    name: str
    problem: Annotated[list[str], Field(min_length=5, max_length=5)]


class EndRow(_Row):
    """The end of a group: the number of its shard (None: no clip of it could be read) and the shard's size in bytes."""

    row: Literal["end"] = "end"
    shard: Annotated[int, Field(ge=0, lt=_MOST_SHARDS)] | None
    size: Annotated[int, Field(ge=0)]


AnyRow = Annotated[ClipRow | BrokenRow | EndRow, Field(discriminator="row")]


class IndexEntry(NamedTuple):
    """Where the features of a clip are, and what is known of it."""

    shard: int
    seconds: float
    notes: tuple[str, ...]
    features: Mapping[str, tuple[int, str, str] | None]


class Index(NamedTuple):
    """All that counts of an index: clips and unreadable clips by content, sizes of the shards, the `end` in bytes."""

    clips: dict[str, IndexEntry]
    broken: dict[str, Problem]
    shards: list[int]
    end: int


def index_journal(folder: Path) -> Journal[Any]:
    """The index of the cache in `folder`."""
    return Journal(folder / INDEX, TypeAdapter(AnyRow))


def shard_name(number: int) -> str:
    """The name of a shard's file."""
    return f"shard-{number:05d}.safetensors"


def read_index(journal: Journal[Any], encoders: tuple[str, ...]) -> Index:
    """The index of a cache of these encoders. Raises DataError naming the row that contradicts it."""
    index = Index({}, {}, [], 0)
    group: list[ClipRow | BrokenRow] = []
    for number, (row, end) in enumerate(journal.rows(), 1):
        if not isinstance(row, EndRow):
            if isinstance(row, ClipRow) and tuple(row.features) != encoders:
                raise _contradiction(journal, number, f"features of {', '.join(row.features)}", ", ".join(encoders))
            group.append(row)
            continue
        if row.shard is not None and row.shard != len(index.shards):
            raise _contradiction(journal, number, f"shard {row.shard}", f"shard {len(index.shards)}")
        if row.shard is None and any(isinstance(row_in_group, ClipRow) for row_in_group in group):
            raise _contradiction(journal, number, "clips without a shard", "a shard")
        for row_in_group in group:
            _add(index, row_in_group, len(index.shards))
        if row.shard is not None:
            index.shards.append(row.size)
        group, index = [], index._replace(end=end)
    return index


def _add(index: Index, row: ClipRow | BrokenRow, shard: int) -> None:
    if isinstance(row, BrokenRow):
        index.broken[row.clip] = Problem(*row.problem)
        return
    features = {
        name: (feature.tokens, feature.values, feature.times) if feature else None
        for name, feature in row.features.items()
    }
    index.clips[row.clip] = IndexEntry(shard, row.seconds, tuple(row.notes), features)
    index.broken.pop(row.clip, None)


def _contradiction(journal: Journal[Any], number: int, actual: str, expected: str) -> DataError:
    return DataError(
        "a row of the cache does not belong there",
        where=f"{journal.path}:{number}",
        found=actual,
        expected=expected,
        hint="move the folder away and run encode again",
    )


def clip_row(key: str, clip: Sample, features: dict[str, FeatureRow | None]) -> dict[str, Any]:
    """The row of a clip that was encoded."""
    notes = [escape_non_unicode(note) for note in clip.notes]
    row = ClipRow(clip=key, name=escape_non_unicode(clip.name), seconds=clip.seconds, notes=notes, features=features)
    return row.model_dump()


def broken_row(key: str, name: str, problem: Problem) -> dict[str, Any]:
    """The row of a clip that cannot be read; `problem` as [storable_problem][] gives it."""
    texts = [problem.what, problem.where, problem.found, problem.expected, problem.hint]
    return BrokenRow(clip=key, name=escape_non_unicode(name), problem=texts).model_dump()


def storable_problem(problem: Problem) -> Problem:
    """A problem as the index can hold it."""
    texts = (problem.what, problem.where, problem.found, problem.expected, problem.hint)
    return Problem(*map(escape_non_unicode, texts))
