"""Find the files of clips in a folder by the names of the clips."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from affectgpt.registry.errors import Problem
from affectgpt.registry.messages import count_and_first


def file_names(folder: Path, problems: list[Problem]) -> set[str]:
    """The names in `folder`; empty when there is no such folder."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        problems.append(Problem("cannot be read", str(folder), error.strerror or str(error)))
        return set()


def find_videos(
    folder: Path, names: Collection[str], suffixes: Sequence[str], problems: list[Problem]
) -> dict[str, Path]:
    """Name -> NAME with the first of `suffixes` that is a file there. What is missing is a problem."""
    if not folder.is_dir():
        problems.append(Problem("no such folder", str(folder), expected="the videos of the dataset"))
        return {}
    before = len(problems)
    names_in_folder = file_names(folder, problems)
    if len(problems) > before:
        return {}
    videos = {
        name: folder / f"{name}{suffix}"
        for name in names
        for suffix in reversed(suffixes)
        if f"{name}{suffix}" in names_in_folder and os.path.isfile(folder / f"{name}{suffix}")
    }
    missing = [name for name in names if name not in videos]
    if missing:
        expected = f"NAME with one of {', '.join(suffixes)}" if len(suffixes) > 1 else f"NAME{suffixes[0]}"
        problems.append(Problem("names without a video", str(folder), count_and_first(missing), expected))
    return videos


def find_flat(folder: Path, names: Collection[str], suffix: str, problems: list[Problem]) -> dict[str, Path]:
    """Name -> NAME`suffix` of those that are there. One that is no file is a problem."""
    names_in_folder = file_names(folder, problems)
    candidates = {name: folder / f"{name}{suffix}" for name in names if f"{name}{suffix}" in names_in_folder}
    paths = {name: path for name, path in candidates.items() if os.path.isfile(path)}
    if invalid := [path.name for name, path in candidates.items() if name not in paths]:
        problems.append(
            Problem(
                "no files, but folders, devices or links to nowhere",
                str(folder),
                count_and_first(invalid),
                f"files NAME{suffix}",
            )
        )
    return paths


def find_in_subfolders(folder: Path, names: Collection[str], suffix: str, problems: list[Problem]) -> dict[str, Path]:
    """Name -> NAME/NAME`suffix` of those that are there."""
    names_in_folder = file_names(folder, problems)
    places = ((name, folder / name / f"{name}{suffix}") for name in names if name in names_in_folder)
    return {name: path for name, path in places if os.path.isfile(path)}
