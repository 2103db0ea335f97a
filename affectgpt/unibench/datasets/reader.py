"""Reads the test sets of MER-UniBench in their folders as distributed (see [layouts][])."""

from __future__ import annotations

import os
from pathlib import Path

from affectgpt.data.clip_files import find_flat, find_videos
from affectgpt.data.example import Example, ReadReport
from affectgpt.data.subtitle_table import read_subtitles
from affectgpt.registry.errors import DataError, Problem, join_names
from affectgpt.registry.messages import did_you_mean
from affectgpt.unibench.datasets.layouts import TEST_SETS, TestSet
from affectgpt.unibench.datasets.true_labels import ClipTruth, read_labels


def find_test_sets(root: str | Path) -> list[str]:
    """The keys of the test sets whose folders are in `root`; of the one that `root` is, if it is one itself."""
    root = Path(root)
    matches = [
        key
        for key, test_set in TEST_SETS.items()
        if test_set.folder == Path(os.path.abspath(root)).name and root.is_dir()
    ]
    return matches or [key for key, test_set in TEST_SETS.items() if (root / test_set.folder).is_dir()]


def read_test_set(key: str, root: str | Path, *, media: bool = True) -> list[Example]:
    """The test clips of one data set, in the order of its label file.

    `root` is the folder that holds the data sets' folders, or the data set's folder itself, under its own name. A
    basic set gives one label, a fine-grained one any number, none included; a sentiment set gives `sentiment` in its
    own range. A clip without a row in the table of subtitles has the subtitle "". With `media=False` only the labels
    are read: `video` is then where the video should be, subtitles are "", `sound` and `faces` None.

    Raises DataError with every problem found: no such folder, a missing or unreadable file, missing columns or
    labels, names that repeat or are no plain file names, labels of the wrong kind or outside their range, names
    without a video.
    """
    return survey_test_set(key, root, media=media).examples_or_raise()


def survey_test_set(key: str, root: str | Path, *, media: bool = True) -> ReadReport:
    """As [read_test_set][], but problems are given back. Raises DataError only when there is no such folder."""
    test_set = test_set_of(key)
    folder = folder_of(test_set, Path(root))
    problems: list[Problem] = []
    truths = read_labels(test_set, folder, problems)
    if media:
        examples = _with_media(test_set, folder, truths, problems)
    else:
        examples = [
            _example(name, truth, folder / test_set.videos / f"{name}{test_set.suffixes[0]}")
            for name, truth in truths.items()
        ]
    return ReadReport(examples, len(truths), problems)


def test_set_of(key: str) -> TestSet:
    """The test set `key`. Raises DataError for an unknown one."""
    if key not in TEST_SETS:
        raise DataError(
            "there is no such test set",
            where=str(key)[:80],
            expected=f"one of {join_names(TEST_SETS)}",
            hint=did_you_mean(key, TEST_SETS),
        )
    return TEST_SETS[key]


def folder_of(test_set: TestSet, root: Path) -> Path:
    """The folder of `test_set`: in `root`, or `root` itself by its name. Raises DataError when it is neither.

    Not by what it holds: the label files of six sets have one name, and the words of one may pass for another's.
    """
    set_folder = root / test_set.folder
    if set_folder.is_dir():
        return set_folder
    name = Path(os.path.abspath(root)).name
    if root.is_dir() and name == test_set.folder:
        return root
    folders = [each.folder for each in TEST_SETS.values() if (root / each.folder).is_dir()]
    raise DataError(
        f"the folder of {test_set.title} is not there",
        where=str(set_folder),
        found=join_names(folders) if root.is_dir() else f"no folder {root}",
        expected=f"{test_set.folder} in this folder, or that folder itself",
        hint="a data set is known by the name of its folder: rename it, or make a link of this name",
    )


def _with_media(
    test_set: TestSet, folder: Path, truths: dict[str, ClipTruth], problems: list[Problem]
) -> list[Example]:
    table = folder / test_set.subtitle_file
    if not table.exists():
        problems.append(
            Problem("there is no table of subtitles", str(table), expected=f"columns name, {test_set.subtitle_column}")
        )
    subtitles = read_subtitles(table, test_set.subtitle_column, truths, problems)
    videos = find_videos(folder / test_set.videos, truths, test_set.suffixes, problems)
    sounds = find_flat(folder / test_set.sounds, truths, ".wav", problems)
    faces = find_flat(folder / test_set.faces, truths, ".npy", problems)
    return [
        _example(name, truth, videos[name], subtitles.get(name, ""), sounds.get(name), faces.get(name))
        for name, truth in truths.items()
        if name in videos
    ]


def _example(
    name: str, truth: ClipTruth, video: Path, subtitle: str = "", sound: Path | None = None, faces: Path | None = None
) -> Example:
    return Example(name, video, subtitle, truth.labels, "", truth.sentiment, sound, faces)
