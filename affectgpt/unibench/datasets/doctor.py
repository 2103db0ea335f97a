"""Inspect a folder of data: what it holds, what is missing, what cannot be decoded."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from affectgpt.data.decode_check import DecodeReport, check_decoding
from affectgpt.data.example import Example, ReadReport
from affectgpt.data.manifest import SUFFIXES, survey_manifest
from affectgpt.data.mer2025 import find_subsets, survey_mer2025
from affectgpt.registry.errors import DataError, Problem, join_names
from affectgpt.registry.messages import first_and_more
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import find_test_sets, folder_of, survey_test_set
from affectgpt.workers.pool import run_tasks

MER2025_FOLDER = "mer2025-dataset"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DatasetHealth:
    """One data set.

    - `named`: clips that its tables name; `clips`: those whose video is there; `expected`: those it should have, None
      where that is not known.
    - `subtitles`, `sounds`, `faces`: clips with a subtitle, a separate sound, stored face pictures.
    - `labels`: label -> clips, most frequent first; a sentiment counts as negative, zero or positive.
    - `decoded`: clips that were decoded, None when that was not asked for; `seconds`: their length.
    - `problems`: what must be mended; `notes`: what a reader should know.
    """

    key: str
    title: str
    folder: str
    task: str
    expected: int | None
    named: int
    clips: int
    subtitles: int
    sounds: int
    faces: int
    labels: dict[str, int]
    decoded: int | None
    seconds: float | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DoctorReport:
    """All data sets of a place. `missing` are test sets of the benchmark that are not there: no problem by itself."""

    folder: str
    kind: str
    sets: tuple[DatasetHealth, ...]
    missing: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no problem."""
        return not any(each.problems for each in self.sets)

    def as_json(self) -> dict[str, object]:
        """Plain dicts, lists and numbers."""
        sets = [
            {
                **vars(dataset),
                "problems": [problem.texts() for problem in dataset.problems],
                "notes": list(dataset.notes),
            }
            for dataset in self.sets
        ]
        return {
            "place": self.folder,
            "kind": self.kind,
            "healthy": self.healthy,
            "sets": sets,
            "missing": list(self.missing),
        }


@dataclass(frozen=True)
class _Source:
    key: str
    title: str
    folder: Path
    task: str
    expected: int | None
    survey: Callable[[], ReadReport]
    expect_picture: bool = True


def inspect_folder(
    path: str | Path,
    *,
    manifest: bool = False,
    decode: bool = True,
    workers: int = 2,
    progress: Progress | None = None,
) -> DoctorReport:
    """Look at MER-UniBench, one of its data sets, a MER2025 folder, or a manifest (by its suffix, or `manifest=True`).

    With `decode`, one frame, the sound and one stored face of every clip are decoded, in `workers` processes (see
    [check_decoding][]); `progress(data set, done, total)` is called after each. Problems within a data set are told,
    not raised. Raises DataError when `place` is none of these, RunError when a worker dies.
    """
    path = Path(path)
    kind, sources = _sources(path, manifest)
    present = {source.key for source in sources}
    missing = (
        tuple(test_set.folder for test_set in TEST_SETS.values() if test_set.key not in present)
        if kind == "benchmark"
        else ()
    )
    surveys = [_read_reports(source) for source in sources]
    decoded = _decode_all(sources, surveys, workers, progress) if decode else [None] * len(sources)
    sets = tuple(map(_health, sources, surveys, decoded))
    return DoctorReport(str(path), kind, sets, missing)


def _sources(path: Path, manifest: bool) -> tuple[str, list[_Source]]:
    if manifest or (path.is_file() and path.suffix.lower() in SUFFIXES):
        # A clip of one's own may be a recording of a voice.
        survey = _bound(survey_manifest, path)
        return "manifest", [_Source(path.stem, path.name, path, "", None, survey, expect_picture=False)]
    keys = find_test_sets(path)
    subsets_by_folder = {folder: find_subsets(folder) for folder in (path, path / MER2025_FOLDER)}
    sources = [_test_set(key, path) for key in keys]
    for folder, subsets in subsets_by_folder.items():
        for subset in subsets:
            survey = _bound(survey_mer2025, folder, subset=subset)
            sources.append(_Source(f"mer2025-{subset}", f"MER2025 {subset}", folder, "", None, survey))
    if not sources:
        raise DataError(
            "no data set is found here",
            where=str(path),
            found=_inventory(path),
            expected=f"folders of MER-UniBench ({join_names(each.folder for each in TEST_SETS.values())}), one of them,"
            f" a folder in the MER2025 layout, or a manifest ({', '.join(SUFFIXES)})",
        )
    is_benchmark = keys and not any(TEST_SETS[key].folder == Path(os.path.abspath(path)).name for key in keys)
    return "benchmark" if is_benchmark else "data set", sources


def _test_set(key: str, path: Path) -> _Source:
    test_set = TEST_SETS[key]
    folder = folder_of(test_set, path)
    expected = None if _is_synthetic(Path(os.path.abspath(folder)).parent) else test_set.clips
    return _Source(key, test_set.title, folder, test_set.task, expected, _bound(survey_test_set, key, path))


def _bound(function: Callable[..., ReadReport], *arguments: Any, **options: Any) -> Callable[[], ReadReport]:
    return lambda: function(*arguments, **options)


def _inventory(path: Path) -> str:
    if not path.is_dir():
        return "a file" if path.exists() else "nothing of that name"
    names = sorted(each.name for each in path.iterdir())
    return first_and_more(names, 8) or "an empty folder"


def _is_synthetic(root: Path) -> bool:
    # A miniature has fewer clips than the benchmark, which is nothing wrong with it.
    try:
        with (root / "synthetic.json").open(encoding="utf-8") as file:
            return str(json.load(file).get("format", "")).startswith("affectgpt synthetic")
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _read_reports(source: _Source) -> ReadReport:
    try:
        return source.survey()
    except DataError as error:
        return ReadReport([], 0, error.problems)


def _health(source: _Source, report: ReadReport, decoded: list[DecodeReport] | None) -> DatasetHealth:
    examples, problems = report.examples, list(report.problems)
    if source.expected is not None and report.row_count != source.expected and report.row_count:
        problems.append(
            Problem(
                "not the number of clips that the benchmark counts",
                str(source.folder),
                f"{report.row_count:,}",
                f"{source.expected:,}",
                "its scores cannot be compared with others'",
            )
        )
    notes = _missing_media_notes(examples)
    if decoded is not None:
        problems += _group_problems([clip.problem for clip in decoded if clip.problem is not None])
        notes += _decode_notes(decoded, len(examples))
    return DatasetHealth(
        source.key,
        source.title,
        str(source.folder),
        source.task,
        source.expected,
        report.row_count,
        len(examples),
        subtitles=sum(bool(example.subtitle) for example in examples),
        sounds=sum(example.sound is not None for example in examples),
        faces=sum(example.faces is not None for example in examples),
        labels=_histogram(examples),
        decoded=None if decoded is None else sum(clip.problem is None for clip in decoded),
        seconds=None if decoded is None else round(sum(clip.seconds for clip in decoded), 3),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _missing_media_notes(examples: Sequence[Example]) -> list[str]:
    lacking = {
        "subtitle": [example.name for example in examples if not example.subtitle],
        "separate sound": [example.name for example in examples if example.sound is None],
        "stored face pictures": [example.name for example in examples if example.faces is None],
    }
    # Sounds and faces are extras, which a set may be without; words are not.
    return [
        f"{len(names)} of {len(examples)} clips without {what}: {_names(names)}"
        for what, names in lacking.items()
        if len(names) > 0 and (len(names) < len(examples) or what == "subtitle")
    ]


def _decode_notes(reports: Sequence[DecodeReport], clips: int) -> list[str]:
    of: dict[str, list[str]] = {}
    for report in reports:
        for note in report.notes:
            of.setdefault(note, []).append(report.name)
    most = sorted(of.items(), key=lambda item: -len(item[1]))[:20]
    return [f"{len(names)} of {clips} clips: {note}: {_names(names)}" for note, names in most]


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' * (len(names) > 3)}"


def _histogram(examples: Sequence[Example]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(example.labels)
        if example.sentiment is not None:
            counts["negative" if example.sentiment < 0 else "positive" if example.sentiment > 0 else "zero"] += 1
    return dict(counts.most_common())


def _decode_all(
    sources: list[_Source], surveys: list[ReadReport], workers: int, progress: Progress | None
) -> list[list[DecodeReport]]:
    tasks = [
        (index, example, sources[index].expect_picture)
        for index, survey in enumerate(surveys)
        for example in survey.examples
    ]
    reports: list[list[DecodeReport]] = [[] for _ in sources]
    if not tasks:
        return reports
    with run_tasks(_decode_example, tasks, min(workers, len(tasks))) as results:
        for index, result in results:
            reports[index].append(result)
            if progress is not None:
                progress(sources[index].title, len(reports[index]), len(surveys[index].examples))
    return [sorted(source_reports, key=lambda decoded: decoded.name) for source_reports in reports]


def _decode_example(index: int, example: Example, expect_picture: bool) -> tuple[int, DecodeReport]:
    return index, check_decoding(example, expect_picture=expect_picture)


def _group_problems(problems: list[Problem]) -> list[Problem]:
    # One that many clips share is told once, with the first of them.
    def kind(problem: Problem) -> tuple[str, str]:
        return problem.what, problem.expected

    grouped = [list(group) for _, group in groupby(sorted(problems, key=kind), key=kind)]
    return [
        group[0]
        if len(group) == 1
        else Problem(
            f"{len(group)} clips: {group[0].what}",
            ", ".join(each.where for each in group[:5]),
            group[0].found,
            group[0].expected,
            group[0].hint,
        )
        for group in grouped
    ]
