"""The folders of a training run: checked before the work, so that none of them lies in another or is in use."""

from __future__ import annotations

import os
from pathlib import Path

from affectgpt.core.saved.destination import check_destination
from affectgpt.registry.errors import CheckpointError, ConfigError


def check_run_places(start: Path | None, out: Path | None, run: Path | None) -> None:
    """Raise ConfigError when the saved model `start`, the model `out` and the run folder `run` lie in one another.

    Also raises CheckpointError when `out` or `run` cannot be made. None: there is no such folder.
    """
    paths = {"out": out, "run": run}
    folders = {name: Path(os.path.realpath(path)) for name, path in paths.items() if path is not None}
    if "out" in folders and Path.cwd().is_relative_to(folders["out"]):
        raise ConfigError("this folder holds the working folder", where="out", found=str(out), hint="name a new folder")
    if start is not None:
        _check_outside_model(start, folders)
    if "out" in folders and "run" in folders and folders["run"].is_relative_to(folders["out"]):
        raise ConfigError(
            "the model and the run cannot be in one folder",
            where="run",
            found=str(run),
            hint=f"name a folder outside {out}",
        )
    if start is not None and folders.get("run") == Path(os.path.realpath(start)):
        raise ConfigError("this is the model that is to be trained", where="run", found=str(run))
    for path in paths.values():
        if path is not None:
            check_destination(path)


def _check_outside_model(start: Path, folders: dict[str, Path]) -> None:
    model = Path(os.path.realpath(start))
    for argument, folder in folders.items():
        if folder.is_relative_to(model) and folder != model:
            raise ConfigError(
                "this lies in the model that is to be trained",
                where=argument,
                found=str(folder),
                expected=f"a folder outside {start}",
            )


def check_free(out: Path) -> None:
    """Raise CheckpointError unless a new model can be saved in `out`: an empty folder, or nothing yet."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new folder")
