"""Arguments that several public functions take, as objects: plugins, a device, a path, a progress display."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover, load_plugins_from
from affectgpt.registry.errors import ConfigError, PluginError
from affectgpt.registry.messages import short_repr
from affectgpt.registry.spec import PluginSpec
from affectgpt.workers.progress import OnProgress as OnProgress
from affectgpt.workers.progress import Progress as Progress
from affectgpt.workers.progress import progress_callback as progress_callback

DTYPES = ("float32", "float16", "bfloat16")
PluginRef: TypeAlias = "type | str | Path | PluginSpec"
"""A plugin class marked by a decorator, the path of a `.py` file, a module's name, or a declaration."""


Plugins: TypeAlias = "Iterable[PluginRef] | Catalog"
"""Plugins beside those installed; or a whole catalog, which is taken as it is."""


def catalog_for(plugins: Plugins = ()) -> Catalog:
    """A catalog of the installed plugins and of `plugins`; a [Catalog][] comes back as it is.

    Raises PluginError when one of `plugins` cannot be imported, declares nothing, or takes a name twice.
    """
    if isinstance(plugins, Catalog):
        return plugins
    if isinstance(plugins, str | Path | type | PluginSpec):
        plugins = [plugins]
    if not isinstance(plugins, Iterable):
        raise PluginError(
            "these are no plugins",
            where="plugins",
            found=repr(plugins),
            expected="classes marked by a decorator, paths of .py files, or names of modules",
        )
    return add_plugins(discover(), plugins)


def add_plugins(catalog: Catalog, plugins: Iterable[PluginRef]) -> Catalog:
    """`catalog` itself, with `plugins` added. Raises PluginError as [catalog_for][]."""
    for plugin in plugins:
        if isinstance(plugin, str | Path):
            load_plugins_from(catalog, str(plugin))
        else:
            catalog.add(plugin)
    return catalog


def choose_device(device: str | None = None) -> str:
    """The name of a torch device: `device` itself, "cpu" for None; "auto" is "cuda" when there is a GPU, else "cpu".

    Raises ConfigError when the device does not exist on this machine or cannot be parsed.
    """
    if device is None or device == "cpu":
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if count else "cpu"
    kind, _, number = str(device).partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise ConfigError(
            "this is not a device", where="device", found=repr(device), expected='"cpu", "cuda", "cuda:0" or "auto"'
        )
    if not count:
        raise ConfigError("there is no CUDA device", where="device", found=repr(device), hint='pass device="cpu"')
    if number and int(number) >= count:
        raise ConfigError(
            "there is no such CUDA device", where="device", found=repr(device), expected=f"a number below {count}"
        )
    return str(device)


def path_of(value: object, argument: str) -> Path:
    """`value` as a path; `argument` is its name in messages. Raises ConfigError for another type and an empty text."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise ConfigError(
            "this is not a path", where=argument, found=short_repr(value), expected="a text or a pathlib.Path"
        )
    try:
        os.lstat(text)
    except FileNotFoundError:
        pass
    except ValueError as error:
        # A zero byte, or half of a surrogate pair.
        raise ConfigError("this path cannot be used", where=argument, found=f"{text[:400]!r}: {error}") from None
    except OSError as error:
        # `Path.exists` raises it for a name that is too long.
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise ConfigError(
                "this path cannot be used", where=argument, found=f"{text[:400]}: {error.strerror}"
            ) from None
    return Path(text)


def optional_path(value: object, argument: str) -> Path | None:
    """The same, or None for None."""
    return None if value is None else path_of(value, argument)


def check_text(value: object, argument: str) -> None:
    """Raises ConfigError unless `value` is a text; `argument` is its name in messages."""
    if not isinstance(value, str):
        raise ConfigError("this is not a text", where=argument, found=short_repr(value), expected="a text")


def check_dtype(dtype: object) -> None:
    """Raises ConfigError unless `dtype` names one that tensors are stored in."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ConfigError("unknown dtype", where="dtype", found=short_repr(dtype), expected=" or ".join(DTYPES))


def check_workers(workers: object) -> None:
    """Raises ConfigError unless `workers` is a number of processes."""
    from affectgpt.serving.clip_arguments import check_counts

    check_counts(1, workers)


def check_options(options: object, argument: str) -> None:
    """Raises ConfigError unless `options` is a mapping or None; `argument` is its name in messages."""
    if not isinstance(options, Mapping | None):
        raise ConfigError(
            "the options are not a mapping",
            where=argument,
            found=short_repr(options),
            expected="a mapping of names and values",
        )


def check_pipeline(pipeline: object, argument: str = "pipeline") -> None:
    """Raises ConfigError unless `pipeline` is a Pipeline; `argument` is its name in messages."""
    from affectgpt.core.pipeline import Pipeline

    if not isinstance(pipeline, Pipeline):
        raise ConfigError(
            "this is not a pipeline",
            where=argument,
            found=short_repr(pipeline),
            expected="what affectgpt.load, build or train returns"
            if argument == "pipeline"
            else "a pipeline, or a model's name or folder",
            hint="load a saved model by its name: affectgpt.load(...)",
        )
