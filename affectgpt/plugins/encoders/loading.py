"""Build a transformers model with weights from a folder or the hub, strictly and without its output."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import dynamic_module_utils
from transformers.utils import logging

from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import MODELS_VARIABLE, find_model, is_repository
from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import reason


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Suppress transformers' list of unused tensors and its progress bars."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def without_remote_code() -> Iterator[None]:
    """Refuse code of a model in place of a question on standard input.

    `trust_remote_code=False` reaches the outermost class only: one that builds another of its parts asks by itself.
    """
    seconds = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = seconds


def build_random(model_class: Any, config: Any, dtype: str) -> nn.Module:
    """The architecture of `config` with random weights, which `torch.manual_seed` determines."""
    with without_remote_code():
        if hasattr(model_class, "from_config"):
            model: nn.Module = model_class.from_config(config, trust_remote_code=False)
        else:
            model = model_class(config)
    return model.to(getattr(torch, dtype)).eval()


def load_pretrained(
    model_class: Any, name: str, config: Any, *, dtype: str, allow_pickle: bool, optional: tuple[str, ...] = ()
) -> nn.Module:
    """The model with the weights found under `name`: a folder of this machine, else downloaded from the hub.

    Raises CheckpointError when there is no such model, when its files are damaged or not safetensors (unless
    `allow_pickle`), and when a weight that the architecture has is missing or of another shape. Weights that the
    architecture does not have are left out; `optional` are regular expressions of names that may be missing.
    """
    folder = find_model(name)
    if folder is None and not is_repository(name):
        raise CheckpointError(
            f"there is no model folder {name!r}", hint=f"give a folder, or put it under ${MODELS_VARIABLE}"
        )
    if folder is not None:
        _check_files(folder, allow_pickle)
    else:
        check_hub(name)
    try:
        with silence_transformers(), without_remote_code():
            model, report = model_class.from_pretrained(
                str(folder or name),
                config=config,
                dtype=getattr(torch, dtype),
                use_safetensors=None if allow_pickle else True,
                local_files_only=folder is not None,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"the weights of {name!r} cannot be loaded",
            where=str(folder or "the Hugging Face hub"),
            found=reason(error),
            hint="check that the folder's weights and config.json belong together"
            if folder
            else f"download it where there is a network (hf download {name}), or put its folder under "
            f"${MODELS_VARIABLE}; a model without safetensors needs allow_pickle: true",
        ) from None
    missing = [key for key in report["missing_keys"] if not any(re.fullmatch(pattern, key) for pattern in optional)]
    if missing:
        examples = ", ".join(sorted(missing)[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise CheckpointError(
            f"{len(missing)} weights are missing from {name!r}",
            where=str(folder or name),
            found=f"no {examples}",
            hint="this checkpoint is of another model, or is not complete",
        )
    loaded: nn.Module = model.eval()
    return loaded


def _check_files(folder: Path, allow_pickle: bool) -> None:
    if any(folder.glob("*.safetensors")) or (allow_pickle and any(folder.glob("*.bin"))):
        return
    if any(folder.glob("*.bin")):
        raise CheckpointError(
            "this model folder has its weights in a pickle only",
            where=str(folder),
            found=", ".join(sorted(file.name for file in folder.glob("*.bin"))),
            expected="model.safetensors",
            hint="allow_pickle: true reads it (tensors only, no code), or save the model as safetensors once",
        )
    raise CheckpointError("this model folder has no weights", where=str(folder), expected="model.safetensors")
