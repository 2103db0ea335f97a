"""Reads a folder in the layout of MER2025, which holds several sets of clips and their common media.

    video/NAME.mp4 (or another container)
    audio/NAME.wav                       if there
    openface_face/NAME/NAME.npy          if there: pictures of the face
    subtitle_chieng.csv                  name, english, chinese

    track2_train_mercaptionplus.csv      name, openset: "[happy, relieved]"
    track3_train_mercaptionplus.csv      name, reason
    track2_train_ovmerd.csv, track3_train_ovmerd.csv: the same for OV-MERD
    track_all_candidates.csv, track2_test.csv: name only, of clips to be described

A set may lack labels or descriptions, not both; all other columns are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from affectgpt.data.clip_files import find_flat, find_in_subfolders, find_videos
from affectgpt.data.csv_table import parse_labels, read_column
from affectgpt.data.example import Example, ReadReport
from affectgpt.data.subtitle_table import read_subtitles
from affectgpt.registry.errors import DataError, Problem, join_names

__all__ = ["Subset", "find_subsets", "parse_labels", "read_mer2025", "survey_mer2025"]

Subset = Literal["mercaptionplus", "ovmerd", "candidates", "test"]
SUBTITLE_FILE = "subtitle_chieng.csv"
TRAINING_FILES: dict[str, tuple[str, str]] = {
    part: (f"track2_train_{part}.csv", f"track3_train_{part}.csv") for part in ("mercaptionplus", "ovmerd")
}
"""Labels and descriptions of each training set."""
NAME_FILES: dict[str, str] = {"candidates": "track_all_candidates.csv", "test": "track2_test.csv"}
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv")
"""Containers looked for in `video/`; when a name has several, the first of this list is taken."""


def find_subsets(folder: str | Path) -> list[Subset]:
    """The sets of clips whose tables are in `folder`."""
    folder = Path(folder)
    subsets: list[Subset] = ["mercaptionplus", "ovmerd", "candidates", "test"]
    return [subset for subset in subsets if any((folder / file).exists() for file in _files_of(subset))]


def read_mer2025(
    folder: str | Path, *, language: Literal["english", "chinese"] = "english", subset: Subset = "mercaptionplus"
) -> list[Example]:
    """The examples of one set, in the order of its label file (of the description file without one).

    With both files, a clip that only one of them names is kept: its labels are then () or its description "". An
    empty label list means ("neutral",). `language` chooses the subtitle; a clip without one has "". Clips of the
    parts "candidates" and "test" have neither labels nor a description.

    Raises DataError with every problem found: no such folder, no table of the set, an unreadable file, missing
    columns, a name that repeats or could point outside `video/`, names without a video.
    """
    return survey_mer2025(folder, language=language, subset=subset).examples_or_raise()


def survey_mer2025(
    folder: str | Path, *, language: Literal["english", "chinese"] = "english", subset: Subset = "mercaptionplus"
) -> ReadReport:
    """As [read_mer2025][], but problems are given back. Raises DataError only when there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such dataset folder", where=str(folder), expected="a folder in the layout of MER2025")
    problems: list[Problem] = []
    openset, reason, names = _tables(folder, subset, problems)
    subtitle = read_subtitles(folder / SUBTITLE_FILE, language, names, problems)
    videos = find_videos(folder / "video", names, VIDEO_SUFFIXES, problems)
    sounds = find_flat(folder / "audio", names, ".wav", problems)
    faces = find_in_subfolders(folder / "openface_face", names, ".npy", problems)
    examples = [
        Example(
            name=name,
            video=videos[name],
            subtitle=subtitle.get(name, ""),
            labels=(tuple(parse_labels(openset[name])) or ("neutral",)) if name in openset else (),
            description=reason.get(name, ""),
            sound=sounds.get(name),
            faces=faces.get(name),
        )
        for name in names
        if name in videos
    ]
    return ReadReport(examples, len(names), problems)


def _tables(folder: Path, subset: Subset, problems: list[Problem]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Labels and descriptions by name, and the names."""
    files = _files_of(subset)
    if not any((folder / file).exists() for file in files):
        what = "neither labels nor descriptions" if subset in TRAINING_FILES else "no names of clips"
        tables = join_names(path.name for path in folder.glob("*.csv"))
        expected = f"{files[0]} or {files[1]}, or both" if subset in TRAINING_FILES else files[0]
        problems.append(Problem(what, str(folder), tables, expected))
        return {}, {}, []
    if subset not in TRAINING_FILES:
        return {}, {}, list(read_column(folder / files[0], "name", problems) or {})
    openset = read_column(folder / files[0], "openset", problems) or {}
    reason = read_column(folder / files[1], "reason", problems) or {}
    return openset, reason, list(dict.fromkeys((*openset, *reason)))


def _files_of(subset: Subset) -> tuple[str, ...]:
    return TRAINING_FILES[subset] if subset in TRAINING_FILES else (NAME_FILES[subset],)
