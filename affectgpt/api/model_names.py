"""A model as a caller names it, loaded: a pipeline, a folder, a bundled name, or a name on the Hub."""

from __future__ import annotations

import logging
import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from affectgpt.api.resolve import check_pipeline, choose_device
from affectgpt.bundled import TINY
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.messages import did_you_mean, short_repr

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.registry.catalog import Catalog
    from affectgpt.workers.progress import OnProgress

_LOG = logging.getLogger("affectgpt")
ModelName: TypeAlias = "Pipeline | str | PathLike[str]"
"""A pipeline, the folder of a saved model, "tiny", or `owner/name[@revision]` on the Hub."""


def model_folder(
    name: str | PathLike[str], argument: str = "model", *, revision: str | None = None, token: str | None = None
) -> Path:
    """The folder of the saved model `name`; one on the Hub is downloaded, and its commit logged.

    `argument` is the name of the argument that `name` comes from, in messages.

    Raises ConfigError when there is no such folder or the name is invalid, CheckpointError, and RunError when the Hub
    cannot be reached.
    """
    if not isinstance(name, str | PathLike):
        raise ConfigError(
            "this is not the name of a model", where=argument, found=short_repr(name), expected="a text or a path"
        )
    path = Path(name)
    # A name may be longer than a file system takes, which `Path.is_dir` raises.
    if os.path.isdir(path):
        return path
    if str(name) == TINY.name:
        return TINY
    from affectgpt.hub.loading import local_folder

    folder = local_folder(path, revision, token=token, tell=_LOG.info)
    if not os.path.isdir(folder):
        raise ConfigError(
            "there is no such model",
            where=str(name),
            expected='the folder of a saved model, "tiny", or owner/name[@revision] on the Hub',
            hint=did_you_mean(str(name), [TINY.name]),
        )
    return folder


def load_named(
    model: ModelName, catalog: Catalog, device: str | None, *, allow_pickle: bool, on_progress: OnProgress
) -> tuple[Pipeline, str]:
    """A pipeline on its device, and its name with a hash of its weights. Raises as [load][affectgpt.load]."""
    catalog.load_deferred()
    if not isinstance(model, str | PathLike):
        check_pipeline(model, "model")
        from affectgpt.unibench.predictions import pipeline_name

        return (model if device is None else model.to(choose_device(device))), pipeline_name(model)
    folder = model_folder(model)
    on_progress("loading the model", 0, None)
    from affectgpt.api.models import load
    from affectgpt.unibench.predictions import model_name

    pipeline = load(folder, plugins=catalog, device=device, allow_pickle=allow_pickle)
    on_progress("loading the model", 1, 1)
    return pipeline, model_name(folder)
