"""Check that the output folder of a model can be created, before training starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from affectgpt.files.unfinished import remove_unfinished
from affectgpt.registry.errors import CheckpointError


def check_destination(folder: Path) -> None:
    """Raise CheckpointError unless `folder` can be made: tried in the nearest of its parents that exists.

    What is tried is removed again, and so is what a killed process left beside `folder`. Whether `folder` itself is
    there already does not matter here.
    """
    folder = Path(os.path.realpath(folder))
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise CheckpointError(
            "the path of this place is not UTF-8",
            where=str(folder),
            hint="choose another folder: safetensors could not read it",
        ) from None
    nearest = _existing_parent(folder)
    try:
        remove_unfinished(folder)
        os.rmdir(tempfile.mkdtemp(prefix=".affectgpt-", dir=nearest))
        for part in folder.relative_to(nearest).parts:
            _check_path_length(nearest / part)
        _check_path_length(folder)
    except OSError as error:
        raise error_unwritable(folder, error) from error


def error_unwritable(folder: Path, error: OSError) -> CheckpointError:
    """The error for a place that the system refuses."""
    return CheckpointError(
        "the model cannot be saved at this place",
        where=str(folder),
        found=f"{_existing_parent(folder)}: {error.strerror or error}",
        expected="a place where a folder can be made",
        hint="choose another folder",
    )


def _existing_parent(folder: Path) -> Path:
    return next((parent for parent in folder.parents if os.path.lexists(parent)), folder)


def _check_path_length(path: Path) -> None:
    # The file system says here, before anything is made, that a name is too long.
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
