"""What training, encoding and comparisons start from: a pipeline's config, or a saved model, by any of its names."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from affectgpt.bundled import bundled_config
from affectgpt.core.config import PipelineConfig
from affectgpt.core.load_config import validate
from affectgpt.core.overrides import mapping_source, read_source
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.earlier_defaults import changes_to_go_on
from affectgpt.core.yaml_source import Source
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.messages import short_repr

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.training.starting_point import StartingPoint

ConfigLike: TypeAlias = "str | Path | Mapping[str, object] | PipelineConfig"
"""A YAML file, a bundled name ("tiny"), a mapping as in a YAML file, or a config."""

Start: TypeAlias = "ConfigLike | Pipeline"
"""A [ConfigLike][], the folder of a saved model, its name on the Hub, or a pipeline."""


def plan_config(
    config: ConfigLike, changes: Sequence[str], catalog: Catalog, former: Mapping[str, object] | None = None
) -> Plan:
    """The plan of a config with `changes`. Raises ConfigError with every problem.

    `former` are the settings of a run that goes on: what is younger than it is as if it did not exist, unless the
    config or `changes` name it.
    """
    _check_changes(changes)
    source = _source(config, changes)
    younger = changes_to_go_on(source.data, former) if former else []
    if younger:
        source = _source(config, [*changes, *younger])
        warnings.warn(
            f"the run was begun before these settings existed, and goes on with {', '.join(younger)}", stacklevel=2
        )
    return make_plan(validate(source, catalog))


def _source(config: ConfigLike, changes: Sequence[str]) -> Source:
    if isinstance(config, PipelineConfig):
        return mapping_source(config.model_dump(mode="json"), changes)
    if isinstance(config, Mapping):
        return mapping_source(config, changes)
    if isinstance(config, str | Path):
        return read_source(_find_file(str(config)), changes)
    raise ConfigError(
        "this is not a pipeline's config",
        where="config",
        found=type(config).__name__,
        expected="a YAML file, a bundled name, a mapping as in a YAML file, or a PipelineConfig",
        hint="of a Plan or a Pipeline, pass its config" if hasattr(config, "config") or hasattr(config, "plan") else "",
    )


def _check_changes(changes: Sequence[str]) -> None:
    """Raise ConfigError unless each change is a text, as where a list is passed for the changes in it."""
    for change in changes:
        if not isinstance(change, str):
            is_list = isinstance(change, list | tuple)
            raise ConfigError(
                "a change must be a text",
                where="changes",
                found=short_repr(change),
                expected='"key.path=value"',
                hint="pass the changes one by one, with a star: *changes" if is_list else "",
            )


def _find_file(name: str) -> Path:
    problem = "there is no such file or folder"
    expected = "a pipeline YAML file, or the folder of a saved model"
    path = Path(name)
    try:
        is_folder = bool(name) and path.is_dir()
        if path.exists() and not is_folder:
            # Also a device or a pipe: the reader refuses it without opening it.
            return path
    except OSError as error:
        raise ConfigError(problem, where=name, found=error.strerror or str(error), expected=expected) from None
    if is_folder:
        raise ConfigError(
            "this is a folder, not a pipeline file",
            where=name,
            expected="a pipeline YAML file",
            hint=f"a saved model's config is {path / 'pipeline.yaml'}; its weights are read by affectgpt.load"
            if (path / "pipeline.yaml").is_file()
            else "",
        )
    if path.suffix or len(path.parts) != 1:
        raise ConfigError(problem, where=name, expected=expected)
    try:
        return bundled_config(name)
    except ConfigError as error:
        bundled = error.problems[0]
        raise ConfigError(
            problem, where=name, expected=f"{expected}; bundled: {bundled.expected}", hint=bundled.hint
        ) from None


def find_saved_model(start: Start) -> Path | None:
    """The folder of the saved model that `start` names; None when it is a config.

    One on the Hub is downloaded first. Raises as [affectgpt.load][].
    """
    if not isinstance(start, str | Path):
        return None
    path = Path(start)
    if os.path.isdir(path):
        return path
    if os.path.isfile(path) or path.suffix in (".yaml", ".yml") or len(path.parts) != 2:
        return None
    from affectgpt.hub.loading import local_folder

    folder = local_folder(str(start), tell=logging.getLogger("affectgpt").info)
    return folder if os.path.isdir(folder) else None


def starting_point(
    start: Start,
    changes: Sequence[str],
    catalog: Catalog,
    *,
    allow_pickle: bool,
    former: Mapping[str, object] | None = None,
) -> StartingPoint:
    """The plan and the weights that a training starts from; `former` are the settings of a run that goes on.

    Raises ConfigError and CheckpointError.
    """
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.core.saved.initial import read_initial_model
    from affectgpt.training.starting_point import StartingPoint

    if isinstance(start, Pipeline):
        return StartingPoint(_replan(start, changes, catalog), catalog, pipeline=start)
    folder = find_saved_model(start)
    if folder is not None:
        saved = read_initial_model(folder, catalog, list(changes), allow_pickle=allow_pickle)
        return StartingPoint(saved.plan, catalog, saved=saved)
    if isinstance(start, str | Path):
        _check_not_of_model(Path(start))
    plan = plan_config(start, changes, catalog, former)
    if allow_pickle:
        raise ConfigError(
            "only a saved model needs a permission to read pickles",
            where="allow_pickle",
            hint="in a pipeline file it is an option of the encoder: allow_pickle: true",
        )
    return StartingPoint(plan, catalog)


def _check_not_of_model(path: Path) -> None:
    if path.name == "pipeline.yaml" and (path.parent / "model.safetensors").is_file():
        raise ConfigError(
            "this is a saved model's config, which does not hold its weights",
            where=str(path),
            hint=f"to train the model further give its folder, {path.parent}; to begin from nothing, copy the file",
        )


def _replan(pipeline: Pipeline, changes: Sequence[str], catalog: Catalog) -> Plan:
    """The plan of a built pipeline with changes to how it is trained; its modules stay as they were built."""
    if not changes:
        return pipeline.plan
    before = pipeline.plan.config
    for node in (*pipeline.plan.encoders.values(), *pipeline.plan.fusers.values(), pipeline.plan.llm):
        # Built with plugins that this call does not name again.
        if node.entry.spec.name not in catalog.names(node.entry.spec.kind):
            catalog.add(node.entry.spec, node.entry.origin)
    plan = plan_config(before, changes, catalog)
    fixed = [
        name for name in ("encoders", "fusers", "llm", "prompt") if getattr(plan.config, name) != getattr(before, name)
    ]
    if fixed:
        raise ConfigError(
            "the parts of a pipeline that is built cannot be changed",
            where="changes",
            found=", ".join(change for change in changes if change.partition(".")[0] in fixed) or ", ".join(fixed),
            expected="changes to training, generation or seed",
            hint="build a new pipeline with these changes, or train the folder of a saved model",
        )
    return plan
