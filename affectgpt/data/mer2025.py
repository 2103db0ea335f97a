"""Reads a folder in the layout of the MER2025 training set (MER-Caption+): videos, subtitles, labels, descriptions.

    video/NAME.mp4 (or another container)
    subtitle_chieng.csv                  name, english, chinese
    track2_train_mercaptionplus.csv      name, openset: "[happy, relieved]"
    track3_train_mercaptionplus.csv      name, reason

Either of the last two may be missing; all other columns are ignored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from affectgpt.data.example import Example
from affectgpt.registry.errors import DataError, Problem, listed

SUBTITLE_FILE = "subtitle_chieng.csv"
LABEL_FILE = "track2_train_mercaptionplus.csv"
DESCRIPTION_FILE = "track3_train_mercaptionplus.csv"
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv")
"""Containers looked for in `video/`; when a name has several, the first of this list is taken."""

_LONGEST_FIELD = 1_000_000


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
    openset = _column(folder / LABEL_FILE, "openset", problems)
    reason = _column(folder / DESCRIPTION_FILE, "reason", problems)
    subtitle = _column(folder / SUBTITLE_FILE, language, problems) or {}
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
    videos = _videos(folder / "video", names, problems)
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


def parse_labels(text: str) -> list[str]:
    """The words of a written list: "[a, b]", "['a', 'b']" and "a, b" all give ["a", "b"]; each once, in order."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return list(dict.fromkeys(item.strip() for item in re.split(r"[,'\"]", inner) if item.strip()))


def _column(path: Path, column: str, problems: list[Problem]) -> dict[str, str] | None:
    """Name -> stripped text of `column`; None when there is no such file or it is unusable (then a problem)."""
    if not path.exists():
        return None
    if not path.is_file():
        problems.append(Problem("is a folder, a device or a pipe", str(path), expected="a CSV file in UTF-8"))
        return None
    previous = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = [(reader.line_num, row.get("name"), row.get(column)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem("cannot be read", str(path), str(error), "a CSV file in UTF-8"))
        return None
    finally:
        csv.field_size_limit(previous)
    missing = [wanted for wanted in ("name", column) if wanted not in header]
    if missing:
        problems.append(
            Problem(f"no column {listed(missing)}", str(path), f"columns {listed(header)}", f"columns name, {column}")
        )
        return None
    values: dict[str, str] = {}
    repeated, unsafe = [], []
    for line, raw_name, text in rows:
        name = (raw_name or "").strip()
        if not _is_plain(name):
            unsafe.append(f"line {line}: {name!r}")
        elif name in values:
            repeated.append(name)
        else:
            values[name] = (text or "").strip()
    if repeated:
        problems.append(Problem("names that repeat", str(path), _first(repeated), "each name once"))
    if unsafe:
        problems.append(
            Problem("names that are not plain file names", str(path), _first(unsafe), "NAME of video/NAME.mp4")
        )
    return values


def _is_plain(name: str) -> bool:
    return bool(name) and name not in (".", "..") and ".." not in name and not re.search(r"[/\\:\x00-\x1f]", name)


def _videos(folder: Path, names: Collection[str], problems: list[Problem]) -> dict[str, Path]:
    """Name -> video file, for `names`."""
    if not folder.is_dir():
        problems.append(Problem("no such folder", str(folder), expected="the videos of the dataset"))
        return {}
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        problems.append(Problem("cannot be read", str(folder), str(error)))
        return {}
    found = {
        name: folder / f"{name}{suffix}"
        for name in names
        for suffix in reversed(VIDEO_SUFFIXES)
        if f"{name}{suffix}" in present
    }
    lost = [name for name in names if name not in found]
    if lost:
        expected = f"NAME with one of {', '.join(VIDEO_SUFFIXES)}"
        problems.append(Problem("names without a video", str(folder), _first(lost), expected))
    return found


def _first(items: list[str]) -> str:
    """How many `items` there are, and the first five."""
    return f"{len(items)}: {', '.join(items[:5])}{', ...' if len(items) > 5 else ''}"
