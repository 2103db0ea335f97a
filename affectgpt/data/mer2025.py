"""Reads a folder in the layout of the MER2025 training set (MER-Caption+): videos, subtitles, labels, descriptions.

    video/NAME.mp4 (or another container)
    subtitle_chieng.csv                  name, english, chinese
    track2_train_mercaptionplus.csv      name, openset: "[happy, relieved]"
    track3_train_mercaptionplus.csv      name, reason

Either of the last two may be missing; all other columns are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from affectgpt.data.example import Example
from affectgpt.data.files_by_name import find_videos
from affectgpt.data.table import parse_labels, read_column
from affectgpt.registry.errors import DataError, Problem, listed

__all__ = ["parse_labels", "read_mer2025"]

SUBTITLE_FILE = "subtitle_chieng.csv"
LABEL_FILE = "track2_train_mercaptionplus.csv"
DESCRIPTION_FILE = "track3_train_mercaptionplus.csv"
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv")
"""Containers looked for in `video/`; when a name has several, the first of this list is taken."""


def read_mer2025(folder: Path, *, language: Literal["english", "chinese"] = "english") -> list[Example]:
    """The examples of `folder`, in the order of the label file (of the description file without one).

    With both files, a clip that only one of them names is kept: its labels are then () or its description "". An
    empty label list means ("neutral",). `language` chooses the subtitle; a clip without one has "".

    Raises DataError with every problem found: no such folder, no label or description file, an unreadable file,
    missing columns, a name that repeats or could point outside `video/`, names without a video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such dataset folder", where=str(folder), expected="a folder in the layout of MER2025")
    problems: list[Problem] = []
    openset = read_column(folder / LABEL_FILE, "openset", problems)
    reason = read_column(folder / DESCRIPTION_FILE, "reason", problems)
    subtitle = read_column(folder / SUBTITLE_FILE, language, problems) or {}
    if not (folder / LABEL_FILE).exists() and not (folder / DESCRIPTION_FILE).exists():
        problems.append(
            Problem(
                "neither labels nor descriptions",
                str(folder),
                listed(path.name for path in folder.glob("*.csv")),
                f"{LABEL_FILE} or {DESCRIPTION_FILE}, or both",
            )
        )
    names = list(dict.fromkeys((*(openset or {}), *(reason or {}))))
    videos = find_videos(folder / "video", names, VIDEO_SUFFIXES, problems)
    if problems:
        raise DataError.of(problems)
    return [
        Example(
            name=name,
            video=videos[name],
            subtitle=subtitle.get(name, ""),
            labels=(tuple(parse_labels(openset[name])) or ("neutral",)) if openset and name in openset else (),
            description=(reason or {}).get(name, ""),
        )
        for name in names
    ]
