"""What a user names as data: the benchmark's root, one data set's folder, a MER2025 folder, or a manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affectgpt.data.example import Example
from affectgpt.data.manifest import SUFFIXES, read_manifest
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import did_you_mean, short_repr
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import find_test_sets, read_test_set
from affectgpt.unibench.truth import Task, Truth, truth_of_examples


@dataclass(frozen=True)
class DataSource:
    """One data set: its clips, and the `task` that its labels are for (None: it has none to score against)."""

    key: str
    title: str
    task: Task | None
    examples: tuple[Example, ...]
    expected: int | None = None
    synthetic: bool = False

    @classmethod
    def of_examples(cls, name: str, examples: Sequence[Example]) -> DataSource:
        """A data set of one's own called `name`: for the sentiment when all its labels are numbers."""
        return _user_source(name, examples)

    def truth(self) -> Truth:
        """Its true labels. Raises DataError when it has none."""
        if self.task is None:
            raise DataError("this data set has no labels to score against", where=self.title)
        truth = truth_of_examples(self.examples, self.key, self.title, self.task, self.expected)
        return replace(truth, synthetic=self.synthetic)


def find_data_sources(
    data: Path, sets: Sequence[str] = (), *, media: bool = True, limit: int | None = None
) -> list[DataSource]:
    """The data sets in `data`; only those named by `sets`, when any are. `limit` takes the first clips of each.

    Without `media` only labels are read, which needs no video. Raises DataError for what is none of the four kinds,
    for an unknown name in `sets`, and as the readers do.
    """
    sets = check_sets(sets)
    check_limit(limit)
    is_user_data = data.is_file() or (not find_test_sets(data) and data.is_dir() and any(data.glob("track*.csv")))
    if is_user_data and sets:
        raise DataError(
            "only data sets of the benchmark can be chosen", where="sets", found=str(data), hint="leave it out"
        )
    if data.is_file() and data.suffix.lower() in SUFFIXES:
        sources = [_user_source(data.stem, read_manifest(data))]
    elif keys := find_test_sets(data):
        missing = [name for name in sets if name not in keys]
        if missing:
            raise DataError(
                "the folder does not hold this data set",
                where=str(data),
                found=join_names(keys),
                expected=join_names(missing),
            )
        is_synthetic = any((folder / "synthetic.json").is_file() for folder in (data, data.resolve().parent))
        sources = [
            _benchmark(key, read_test_set(key, data, media=media), synthetic=is_synthetic)
            for key in keys
            if not sets or key in sets
        ]
    elif data.is_dir() and any(data.glob("track*.csv")):
        sources = [_user_source(data.resolve().name, read_mer2025(data))]
    else:
        raise DataError(
            "no data set is found here",
            where=str(data),
            found="nothing" if not data.exists() else "a folder" if data.is_dir() else "a file",
            expected="the benchmark's folder (nine folders such as mer2023-dataset-process), one of them, a folder in"
            f" the MER2025 layout, or a manifest ({', '.join(SUFFIXES)})",
            hint="affectgpt data doctor FOLDER says what is there",
        )
    return [_limit_clips(source, limit) for source in sources]


def check_sets(sets: Sequence[str]) -> list[str]:
    """The keys of data sets as they were named, in any case. Raises DataError for one that does not exist."""
    names = [sets] if isinstance(sets, str) else list(sets) if isinstance(sets, Iterable) else [sets]
    if not all(isinstance(name, str) for name in names):
        raise DataError(
            "these are not names of data sets", where="sets", found=short_repr(sets), expected="a list of names"
        )
    keys = [name.lower() for name in names]
    unknown = [name for name in keys if name not in TEST_SETS]
    if unknown:
        raise DataError(
            "there is no such data set",
            where="sets",
            found=join_names(unknown),
            expected=join_names(TEST_SETS),
            hint=did_you_mean(unknown[0], TEST_SETS),
        )
    return keys


def check_limit(limit: int | None) -> None:
    """Raise DataError unless `limit` is a number of clips, or None."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DataError(
            "the number is out of range", where="limit", found=short_repr(limit), expected="an integer, at least 1"
        )


def _benchmark(key: str, examples: Sequence[Example], *, synthetic: bool) -> DataSource:
    test_set = TEST_SETS[key]
    return DataSource(key, test_set.title, test_set.task, tuple(examples), test_set.clips, synthetic)


def _user_source(name: str, examples: Sequence[Example]) -> DataSource:
    key = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "clips"
    numbers, words = sum(each.sentiment is not None for each in examples), sum(bool(each.labels) for each in examples)
    task: Task | None = "sentiment" if numbers and not words else "fine-grained" if words else None
    return DataSource(key, name, task, tuple(examples))


def _limit_clips(source: DataSource, limit: int | None) -> DataSource:
    return source if limit is None else replace(source, examples=source.examples[:limit])
