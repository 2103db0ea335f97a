"""Find a model on this machine and read its `config.json`. No torch, no network.

A few models are described in `known_models.json`, so that a pipeline that names one of them can be checked,
and built with random weights, on a machine that has never downloaded it.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import InterfaceError, join_names
from affectgpt.registry.messages import short_repr

MODELS_VARIABLE = "AFFECTGPT_MODELS"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_LOADERS = ("quantization_config", "attn_implementation", "_attn_implementation", "experts_implementation")
_LARGEST_CONFIG = 4 * 1024 * 1024


@cache
def _table() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return entries


def is_repository(name: str) -> bool:
    """Whether `name` could be a repository on the Hugging Face hub (`owner/name` or `name`), not a path."""
    return bool(_REPOSITORY.fullmatch(name)) and ".." not in name and "--" not in name and len(name) <= 96


def find_model(name: str) -> Path | None:
    """The folder that holds the model `name`, or None. Looked for, in this order:

    1. the folder `name` itself (relative to the working directory);
    2. `$AFFECTGPT_MODELS/<name>`, then `$AFFECTGPT_MODELS/<last part of name>`;
    3. the newest snapshot in the Hugging Face cache.
    """
    for folder in _candidate_folders(name):
        if folder.is_dir():
            return folder
    return _cached(name) if is_repository(name) else None


def model_files(name: str) -> list[Path]:
    """The files that say what the model `name` computes: weights, and facts as JSON beside them; none if not here.

    `name` may be a file of weights, too.
    """
    file = Path(name)
    folder = file.parent if file.is_file() else find_model(name)
    files = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
    weights = [path for path in files if path.suffix in (".safetensors", ".bin") and path.is_file()]
    facts = [path for path in files if path.suffix == ".json" and path.is_file()]
    return [*([file] if file.is_file() else weights), *facts]


def model_config(name: str) -> dict[str, Any]:
    """The values of the model's `config.json`: from the disk, else from `known_models.json`.

    Raises InterfaceError when the file is missing from the folder or is not a JSON object, and when the model
    is neither on this machine nor in the table.
    """
    folder = find_model(name)
    if folder is not None:
        return _read(folder / "config.json")
    if name in _table():
        values: dict[str, Any] = copy.deepcopy(_table()[name]["config"])
        return values
    raise InterfaceError(
        f"the model {name!r} is not on this machine and not among the known models",
        found="nothing in "
        + ", ".join([*map(str, _candidate_folders(name)), *["the Hugging Face cache"] * is_repository(name)]),
        expected=_expected(name) if is_repository(name) else "a folder",
        hint=f"download it (hf download {name}), or put its folder under ${MODELS_VARIABLE}"
        if is_repository(name)
        else "give the folder that holds config.json; in a pipeline file, ./ and ../ are meant from that file",
    )


def known_parameters(name: str) -> int | None:
    """Number of weights of the model `name` from the table.

    None when it is not in the table, or when the folder found on disk describes another architecture. For CLIP
    it is the vision tower with its projection, which is the part that is loaded.
    """
    entry = _table().get(name)
    if entry is None or (find_model(name) is not None and not _agrees(entry["config"], model_config(name))):
        return None
    return int(entry["parameters"])


def _agrees(table: Any, config: Any) -> bool:
    if isinstance(table, dict):
        return isinstance(config, dict) and all(_agrees(value, config.get(key, value)) for key, value in table.items())
    return bool(table == config)


def _candidate_folders(name: str) -> list[Path]:
    folders = [Path(name)]
    root = os.environ.get(MODELS_VARIABLE)
    if root and name and not folders[0].is_absolute():
        folders += dict.fromkeys([Path(root) / name, Path(root) / folders[0].name])
    return folders


def _cached(name: str) -> Path | None:
    # Not by huggingface_hub.file_download: its import takes 0.13 s, that of the constants 0.01 s, and the check of a
    # pipeline must stay below a second.
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    try:
        commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = repository / "snapshots" / commit
    return snapshot if commit and (snapshot / "config.json").is_file() else None


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InterfaceError(
            "this model folder has no config.json", where=str(file.parent), hint="name the folder that holds it"
        )
    try:
        if file.stat().st_size > _LARGEST_CONFIG:
            raise ValueError(f"it is larger than {_LARGEST_CONFIG} bytes")
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InterfaceError("this model's config.json cannot be read", where=str(file), found=str(error)) from None
    if not isinstance(values, dict):
        raise InterfaceError(
            "this model's config.json is not an object",
            where=str(file),
            found=type(values).__name__,
            expected="a JSON object",
        )
    _drop_code(values, file)
    return values


def _drop_code(values: Any, file: Path) -> None:
    """Remove names of classes in files beside `file` at any depth; raise InterfaceError for what asks for a loader."""
    for value in values if isinstance(values, list) else values.values() if isinstance(values, dict) else ():
        _drop_code(value, file)
    if not isinstance(values, dict):
        return
    values.pop("auto_map", None)
    for key in _LOADERS:
        value = values.get(key)
        if value and (key == "quantization_config" or "/" in str(value)):
            raise InterfaceError(
                f"this model's config.json asks for another loader by its {key!r}",
                where=str(file),
                found=short_repr(value),
                expected="weights as safetensors, and no code from elsewhere",
                hint="use the model's unquantised folder" if key == "quantization_config" else f"remove {key}",
            )


def _expected(name: str) -> str:
    by_last_part = {name.rsplit("/", 1)[-1].lower(): name for name in _table()}
    last_part = name.rsplit("/", 1)[-1].lower()
    near = [by_last_part[part] for part in difflib.get_close_matches(last_part, by_last_part, n=3, cutoff=0.7)]
    return f"did you mean {' or '.join(near)}?" if near else f"one of {join_names(_table())}, or a folder"


def config_size(values: dict[str, Any], key: str, default: int, *, where: str) -> int:
    """The positive whole number `key` of a model config, or `default`. Raises InterfaceError for anything else."""
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InterfaceError(
            f"{key} in this model's config.json is not a size",
            where=where,
            found=repr(value),
            expected="a whole number above 0",
        )
    return value
