"""Files that ship inside the package: the small trained model, and the pipeline files."""

from __future__ import annotations

import os
from pathlib import Path

from affectgpt.registry.errors import ConfigError, join_names
from affectgpt.registry.messages import did_you_mean

_FOLDER = Path(__file__).resolve().parent
TINY = _FOLDER / "tiny"
"""The folder of the small trained model."""


def bundled_config(name: str) -> Path:
    """The path of a pipeline file of this project, by name ("tiny"). Raises ConfigError for an unknown one."""
    # In a wheel the files are inside the package, in a checkout beside it.
    folders = [_FOLDER.parent / "configs", _FOLDER.parent.parent / "configs"]
    for folder in folders:
        # A name may be longer than a file system takes, which `Path.is_file` raises.
        if os.path.isfile(folder / f"{name}.yaml"):
            return folder / f"{name}.yaml"
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    raise ConfigError(
        f"there is no bundled pipeline {name!r}", expected=f"one of {join_names(names)}", hint=did_you_mean(name, names)
    )
