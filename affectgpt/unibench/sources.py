"""What a user names as data: the benchmark's root, one data set's folder, a MER2025 folder, or a manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affectgpt.data.example import Example
from affectgpt.data.manifest import SUFFIXES, read_manifest
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.errors import DataError, listed
from affectgpt.registry.suggest import did_you_mean
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import find_test_sets, read_test_set
from affectgpt.unibench.truth import Task, Truth, truth_of_examples


@dataclass(frozen=True)
class Source:
    """One data set: its clips, and the `task` that its labels are for (None: it has none to score against)."""

    key: str
    title: str
    task: Task | None
    examples: tuple[Example, ...]
    expected: int | None = None
    synthetic: bool = False

    def truth(self) -> Truth:
        """Its true labels. Raises DataError when it has none."""
        if self.task is None:
            raise DataError("this data set has no labels to score against", where=self.title)
        truth = truth_of_examples(self.examples, self.key, self.title, self.task, self.expected)
        return replace(truth, synthetic=self.synthetic)


def read_sources(data: Path, sets: Sequence[str] = (), *, media: bool = True, limit: int | None = None) -> list[Source]:
    """The data sets in `data`; only those named by `sets`, when any are. `limit` takes the first clips of each.

    Without `media` only labels are read, which needs no video. Raises DataError for what is none of the four kinds,
    for an unknown name in `sets`, and as the readers do.
    """
    sets = check_sets(sets)
    own = data.is_file() or (not find_test_sets(data) and data.is_dir() and any(data.glob("track*.csv")))
    if own and sets:
        raise DataError("--sets chooses among the data sets of the benchmark", where=str(data), hint="leave it out")
    if data.is_file() and data.suffix.lower() in SUFFIXES:
        found = [_own(data.stem, read_manifest(data))]
    elif keys := find_test_sets(data):
        lost = [name for name in sets if name not in keys]
        if lost:
            raise DataError(
                "the folder does not hold this data set", where=str(data), found=listed(keys), expected=listed(lost)
            )
        made = any((folder / "synthetic.json").is_file() for folder in (data, data.resolve().parent))
        found = [
            _benchmark(key, read_test_set(key, data, media=media), synthetic=made)
            for key in keys
            if not sets or key in sets
        ]
    elif data.is_dir() and any(data.glob("track*.csv")):
        found = [_own(data.resolve().name, read_mer2025(data))]
    else:
        raise DataError(
            "no data set is found here",
            where=str(data),
            found="nothing" if not data.exists() else "a folder" if data.is_dir() else "a file",
            expected="the benchmark's folder (nine folders such as mer2023-dataset-process), one of them, a folder in"
            f" the MER2025 layout, or a manifest ({', '.join(SUFFIXES)})",
            hint="affectgpt data doctor FOLDER says what is there",
        )
    return [_cut(source, limit) for source in found]


def check_sets(sets: Sequence[str]) -> list[str]:
    """The keys of data sets as they were named, in any case. Raises DataError for one that does not exist."""
    keys = [name.lower() for name in sets]
    unknown = [name for name in keys if name not in TEST_SETS]
    if unknown:
        raise DataError(
            "there is no such data set",
            where="--sets",
            found=listed(unknown),
            expected=listed(TEST_SETS),
            hint=did_you_mean(unknown[0], TEST_SETS),
        )
    return keys


def _benchmark(key: str, examples: Sequence[Example], *, synthetic: bool) -> Source:
    test_set = TEST_SETS[key]
    return Source(key, test_set.title, test_set.task, tuple(examples), test_set.clips, synthetic)


def _own(name: str, examples: Sequence[Example]) -> Source:
    key = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "clips"
    numbers, words = sum(each.sentiment is not None for each in examples), sum(bool(each.labels) for each in examples)
    task: Task | None = "sentiment" if numbers and not words else "fine-grained" if words else None
    return Source(key, name, task, tuple(examples))


def _cut(source: Source, limit: int | None) -> Source:
    return source if limit is None else replace(source, examples=source.examples[:limit])
