"""Arguments that several public functions take, as objects: plugins, a device, a progress display."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover, load_ref
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.spec import PluginSpec

PluginRef: TypeAlias = "type | str | Path | PluginSpec"
"""A plugin class marked by a decorator, the path of a `.py` file, a module's name, or a declaration."""

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is counted, how many are finished, and how many there are (None: unknown)."""

Progress: TypeAlias = OnProgress | bool | None
"""None: a bar on standard error in a terminal or notebook. True: always a bar. False: none. Or an [OnProgress][]."""


def catalog_for(plugins: Iterable[PluginRef] | Catalog = ()) -> Catalog:
    """A catalog of the installed plugins and of `plugins`; a [Catalog][] comes back as it is.

    Raises PluginError when one of `plugins` cannot be imported, declares nothing, or takes a name twice.
    """
    if isinstance(plugins, Catalog):
        return plugins
    if isinstance(plugins, str | Path | type | PluginSpec):
        plugins = [plugins]
    catalog = discover()
    for plugin in plugins:
        if isinstance(plugin, str | Path):
            load_ref(catalog, str(plugin))
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


@contextmanager
def progress_callback(progress: Progress = None) -> Iterator[OnProgress]:
    """The callable that reports progress while the `with` block runs. A bar is on standard error, never on stdout."""
    if callable(progress):
        yield progress
    elif progress is False or (progress is None and not _has_display()):
        yield _ignore
    else:
        bars = _Bars()
        try:
            yield bars.update
        finally:
            bars.close()


def _ignore(what: str, done: int, total: int | None) -> None:
    pass


def _has_display() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


class _Bars:
    """One tqdm bar at a time; another `what` closes the last bar and opens a new one."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.what = ""

    def update(self, what: str, done: int, total: int | None) -> None:
        if self.bar is None or what != self.what:
            from tqdm.auto import tqdm

            self.close()
            self.bar, self.what = tqdm(desc=what, total=total, file=sys.stderr), what
        if total != self.bar.total:
            self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
