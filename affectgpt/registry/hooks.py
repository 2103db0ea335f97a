"""The hooks of the project (pluggy). A plugin module implements any of them with `@hookimpl`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from affectgpt.registry.kinds import PluginKind
from affectgpt.registry.spec import PluginSpec

PROJECT = "affectgpt"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def affectgpt_kinds() -> Iterable[PluginKind]:  # type: ignore[empty-body]
    """Return the [PluginKind][]s that this module brings. Must not import torch."""


@hookspec
def affectgpt_plugins() -> Iterable[PluginSpec]:  # type: ignore[empty-body]
    """Return the [PluginSpec][]s that this module offers. Must not import torch or the plugins' targets."""


@hookspec
def affectgpt_before_run(command: str, config: Any) -> None:
    """Called before `train`, `describe` and `generate` start work, with the command's name and the PipelineConfig."""


@hookspec
def affectgpt_after_run(command: str, config: Any, result: Any) -> None:
    """Called after `train`, `describe` and `generate` end, with what they produced (JSON-like values)."""


@hookspec
def affectgpt_cli(app: Any) -> None:
    """Add commands to the Typer application `app`."""
