"""Forms of public functions from before 0.2: each works, warns, and goes in 0.3."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from affectgpt.core.config import PipelineConfig
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.core.plan import Plan
    from affectgpt.core.yaml_source import Source
    from affectgpt.registry.catalog import Catalog

P = ParamSpec("P")
R = TypeVar("R")
GOES_IN = "0.3"


def warn_deprecated(form: str, replacement: str, stacklevel: int = 3) -> None:
    """Warn that `affectgpt.FORM` is to be written as `replacement`, in the name of the caller's caller."""
    warnings.warn(f"affectgpt.{form}: use {replacement}; goes in {GOES_IN}", DeprecationWarning, stacklevel=stacklevel)


def with_former_form(former: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that also takes the arguments of its former form: those that only `former` has, or takes by position.

    `former` is called when a catalog is among the arguments. The signature stays that of the present form.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if "catalog" in kwargs or any(_is_catalog(argument) for argument in args[1:]):
                result: R = former(*args, **kwargs)
                return result
            return function(*args, **kwargs)

        return call

    return decorate


def _is_catalog(argument: object) -> bool:
    from affectgpt.registry.catalog import Catalog

    return isinstance(argument, Catalog)


def load_with_catalog(
    name_or_folder: str | Path,
    catalog: Catalog | None = None,
    revision_or_on_node: str | Callable[[str], None] | None = None,
    allow_pickle: bool = False,
    *,
    token: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Pipeline:
    """`load(folder, catalog, on_node)` and `from_pretrained(name, catalog, revision)` of 0.1."""
    warn_deprecated("load(name, catalog)", "load(name, plugins=[...])", stacklevel=4)
    from affectgpt.core.saved.model import load
    from affectgpt.hub.loading import local_folder
    from affectgpt.registry.discovery import discover

    revision = revision_or_on_node if isinstance(revision_or_on_node, str) else None
    on_node = revision_or_on_node if callable(revision_or_on_node) else None
    folder = local_folder(name_or_folder, revision, token=token, tell=tell)
    catalog = discover() if catalog is None else catalog
    catalog.load_deferred()
    return load(folder, catalog, on_node, allow_pickle=allow_pickle)


def push_with_catalog(folder: str | Path, repo_id: str, *, catalog: Catalog | None = None, **options: Any) -> str:
    """`push_to_hub(folder, repo_id, catalog=catalog)` of 0.1."""
    warn_deprecated("push_to_hub(..., catalog=...)", "push_to_hub(..., plugins=[...])", stacklevel=4)
    from affectgpt.hub.saving import push_to_hub

    return push_to_hub(folder, repo_id, catalog=catalog, **options)


def save_pretrained_with_catalog(
    pipeline: Pipeline,
    folder: str | Path,
    scores: str | Path | None = None,
    *,
    catalog: Catalog | None = None,
    dtype: str = "float32",
) -> Path:
    """`save_pretrained(pipeline, folder, catalog=catalog)` of 0.1."""
    warn_deprecated("save_pretrained(..., catalog=...)", "save_pretrained(..., plugins=[...])", stacklevel=4)
    from affectgpt.hub.saving import save_pretrained

    save_pretrained(pipeline, folder, scores, catalog=catalog, dtype=dtype)
    return Path(folder)


def load_config(
    path: str | Path, catalog: Catalog, overrides: Sequence[str] = (), *, allow_plugins: bool = True
) -> tuple[PipelineConfig, Source | None]:
    """The config of a pipeline file, and its source. Deprecated: `plan(path, *overrides).config`."""
    warn_deprecated("load_config", "plan(path, *changes).config")
    from affectgpt.core.load_config import read_config as read

    config = read(path, catalog, overrides, allow_plugins=allow_plugins)
    return config, config.source


def make_plan(config: PipelineConfig, catalog: Catalog | None = None, source: Source | None = None) -> Plan:
    """The plan of a config. Deprecated: `plan(config)`."""
    warn_deprecated("make_plan", "plan(config)")
    from affectgpt.core.plan import make_plan as plan

    return plan(config)


def assemble(
    plan: Plan,
    catalog: Catalog | None = None,
    on_node: Callable[[str], None] | None = None,
    *,
    without: Collection[str] = (),
) -> Pipeline:
    """The pipeline of a plan. Deprecated: `build(config)`."""
    warn_deprecated("assemble", "build(config)")
    from affectgpt.core.assembly import assemble as build

    return build(plan, on_node, skip_encoders=without)
