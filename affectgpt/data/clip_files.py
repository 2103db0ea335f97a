"""Which file of a folder belongs to which clip."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from affectgpt.registry.errors import Problem
from affectgpt.registry.messages import first_of


def present(folder: Path, problems: list[Problem]) -> set[str]:
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
    there = present(folder, problems)
    if len(problems) > before:
        return {}
    found = {
        name: folder / f"{name}{suffix}"
        for name in names
        for suffix in reversed(suffixes)
        if f"{name}{suffix}" in there and os.path.isfile(folder / f"{name}{suffix}")
    }
    lost = [name for name in names if name not in found]
    if lost:
        expected = f"NAME with one of {', '.join(suffixes)}" if len(suffixes) > 1 else f"NAME{suffixes[0]}"
        problems.append(Problem("names without a video", str(folder), first_of(lost), expected))
    return found


def find_beside(folder: Path, names: Collection[str], suffix: str, problems: list[Problem]) -> dict[str, Path]:
    """Name -> NAME`suffix` of those that are there. One that is no file is a problem."""
    there = present(folder, problems)
    beside = {name: folder / f"{name}{suffix}" for name in names if f"{name}{suffix}" in there}
    found = {name: path for name, path in beside.items() if os.path.isfile(path)}
    if odd := [path.name for name, path in beside.items() if name not in found]:
        problems.append(
            Problem(
                "no files, but folders, devices or links to nowhere", str(folder), first_of(odd), f"files NAME{suffix}"
            )
        )
    return found


def find_inside(folder: Path, names: Collection[str], suffix: str, problems: list[Problem]) -> dict[str, Path]:
    """Name -> NAME/NAME`suffix` of those that are there."""
    there = present(folder, problems)
    inside = ((name, folder / name / f"{name}{suffix}") for name in names if name in there)
    return {name: path for name, path in inside if os.path.isfile(path)}
