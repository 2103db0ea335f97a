"""Load, build, check and save pipelines, and describe clips with them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from affectgpt.api.deprecated import load_with_catalog, with_former_form
from affectgpt.api.model_names import model_folder
from affectgpt.api.resolve import Plugins, Progress, catalog_for, check_dtype, check_pipeline, choose_device, path_of
from affectgpt.api.start import ConfigLike, plan_config
from affectgpt.core.description import Description as Description
from affectgpt.registry.errors import ConfigError, Problem

if TYPE_CHECKING:
    from affectgpt.core.describing import OneClip
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.core.plan import Plan


@with_former_form(load_with_catalog)
def load(
    name: str | Path = "tiny",
    *,
    plugins: Plugins = (),
    device: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    token: str | None = None,
) -> Pipeline:
    """The pipeline of a saved model, in evaluation mode.

    - `name`: the folder of a saved model; else "tiny", the bundled model; else `owner/name[@revision]` on the Hub.
    - `plugins`: classes, `.py` files and modules that the model needs beside the installed plugins. Nothing that comes
      with the model is executed.
    - `device`: "cpu", "cuda", "cuda:1", "auto", or None for the CPU.
    - `revision`, `token`: a branch, tag or commit of the Hub, and the token for a private repository.
    - `allow_pickle`: whether an encoder may read weights from a pickle (with `weights_only=True`).

    Raises ConfigError when the name or the device is wrong or a plugin is missing, CheckpointError when the model is
    damaged or does not fit its config, RunError when the Hub cannot be reached.
    """
    location = choose_device(device)
    catalog = catalog_for(plugins)
    folder = model_folder(name, "name", revision=revision, token=token)
    catalog.load_deferred()
    from affectgpt.core.saved.model import load as read

    with _unchanged_seed():
        return read(folder, catalog, allow_pickle=allow_pickle).to(location)


from_pretrained = load


def save(
    pipeline: Pipeline, folder: str | Path, *, dtype: Literal["float32", "float16", "bfloat16"] = "float32"
) -> Path:
    """Write a pipeline to `folder`, whole or not at all, and return the folder; `dtype` is that of stored floats.

    A saved model there is replaced. Raises CheckpointError when the folder holds anything else or cannot be made,
    RunError when a tensor is not finite in `dtype` or the disk refuses.
    """
    check_dtype(dtype)
    from affectgpt.core.saved.model import save as write

    check_pipeline(pipeline)
    path = path_of(folder, "folder")
    write(pipeline, path, dtype=dtype)
    return path


# A `str` is an iterable of `str`, too; it is always one path.
@overload
def describe(  # type: ignore[overload-overlap]
    pipeline: Pipeline,
    what: OneClip,
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    shares: bool = True,
    progress: Progress = None,
) -> Description: ...
@overload
def describe(
    pipeline: Pipeline,
    what: Iterable[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    shares: bool = True,
    progress: Progress = None,
) -> list[Description]: ...
def describe(
    pipeline: Pipeline,
    what: OneClip | Iterable[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    shares: bool = True,
    progress: Progress = None,
) -> Description | list[Description]:
    """The same as [Pipeline.describe][affectgpt.Pipeline.describe]."""
    from affectgpt.core.describing import load_describer

    check_pipeline(pipeline)
    return load_describer().describe(
        pipeline,
        what,
        subtitle=subtitle,
        question=question,
        batch_size=batch_size,
        workers=workers,
        shares=shares,
        progress=progress,
    )


def stream(
    pipeline: Pipeline,
    what: OneClip | Iterable[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 1,
    workers: int = 0,
    shares: bool = True,
) -> Generator[tuple[int, str | Description]]:
    """The same as [Pipeline.stream][affectgpt.Pipeline.stream]."""
    check_pipeline(pipeline)
    return pipeline.stream(
        what, subtitle=subtitle, question=question, batch_size=batch_size, workers=workers, shares=shares
    )


def plan(config: ConfigLike, *changes: str, plugins: Plugins = ()) -> Plan:
    """What a pipeline will be: its graph, every width, token and parameter count. No weight is made.

    - `config`: a YAML file, a bundled name ("tiny"), a mapping as in a YAML file (copied; its relative paths are meant
      from the working folder), or a [PipelineConfig][affectgpt.PipelineConfig].
    - `changes`: `"fusers.multi.plugin=concat"`, as `--set` of the command line.

    Raises ConfigError with every problem.
    """
    catalog = catalog_for(plugins)
    checked = plan_config(config, changes, catalog)
    deferred = [f"{origin} was not examined: it imports torch to declare its plugins" for origin in catalog.deferred]
    return replace(checked, notes=(*deferred, *checked.notes))


def check(config: ConfigLike, *changes: str, plugins: Plugins = ()) -> list[Problem]:
    """The problems that [plan][affectgpt.plan] raises, as a list; empty for a valid pipeline."""
    catalog = catalog_for(plugins)
    try:
        plan_config(config, changes, catalog)
    except ConfigError as error:
        return list(error.problems)
    return []


def build(config: ConfigLike, *changes: str, plugins: Plugins = (), device: str | None = None) -> Pipeline:
    """A pipeline with new weights, drawn from the config's seed, in evaluation mode.

    `config` and `changes` are those of [plan][affectgpt.plan], `device` that of [load][affectgpt.load]. Raises
    ConfigError with every problem, PluginError when a plugin fails, CheckpointError for a damaged model folder.
    """
    location = choose_device(device)
    catalog = catalog_for(plugins)
    checked = plan_config(config, changes, catalog)
    catalog.load_deferred()
    from affectgpt.core.assembly import assemble

    with _unchanged_seed():
        return assemble(checked).to(location)


@contextmanager
def _unchanged_seed() -> Iterator[None]:
    """Weights are drawn from a seed of their own: the random numbers of the process go on as before."""
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=list(devices)):
        yield
