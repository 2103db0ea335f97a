"""Pipeline file -> [PipelineConfig][]: all problems of a file in one pass, each with its location.

Three phases: the nodes' options go to the config models of the plugins they name, everything else to the
schema, and where something failed, what is left is judged as a graph. A node that failed is still known by
name, so that it does not set off further errors.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from affectgpt.core.config import (
    RESERVED,
    EncoderNode,
    ExtractorNode,
    FuserNode,
    GenerationConfig,
    LLMNode,
    PipelineConfig,
    PresenceConfig,
    PromptConfig,
    TrainingConfig,
)
from affectgpt.core.contracts import EncoderConfig, ExtractorConfig, FuserConfig, LLMConfig, PluginConfig, Stream
from affectgpt.core.overrides import read_source
from affectgpt.core.plan import Nodes, problems_between
from affectgpt.core.yaml_source import Source, YamlPath
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import load_plugins_from
from affectgpt.registry.errors import AffectGPTError, ConfigError, PluginError, Problem, join_names
from affectgpt.registry.messages import did_you_mean, nearest, one_line, short_repr
from affectgpt.registry.spec import Kind

_NODES: dict[Kind, tuple[Any, type[PluginConfig]]] = {
    "encoder": (EncoderNode, EncoderConfig),
    "fuser": (FuserNode, FuserConfig),
    "llm": (LLMNode, LLMConfig),
    "extractor": (ExtractorNode, ExtractorConfig),
}
# Read, and taken out, before a file is validated.
_WITH_EXTENDS = ("extends", *PipelineConfig.model_fields)
_SECTIONS: dict[str, type[BaseModel]] = {
    "presence": PresenceConfig,
    "prompt": PromptConfig,
    "generation": GenerationConfig,
    "training": TrainingConfig,
}


def read_config(
    path: str | Path, catalog: Catalog, overrides: Sequence[str] = (), *, allow_plugins: bool = True
) -> PipelineConfig:
    """Read and validate a pipeline file; `.source` of the config knows the locations for messages.

    `plugins:` of the file are loaded into `catalog` (code of the reader's own choosing); with
    `allow_plugins=False`, for files that came with somebody else's model, they are refused.
    Raises ConfigError holding every problem found.
    """
    source = read_source(path, overrides)
    return validate(source, catalog, allow_plugins=allow_plugins)


def load_config(
    path: str | Path, catalog: Catalog, overrides: Sequence[str] = (), *, allow_plugins: bool = True
) -> tuple[PipelineConfig, Source]:
    """The config of a pipeline file, and its source. Deprecated: use `affectgpt.plan(path, *overrides).config`."""
    message = "load_config: use affectgpt.plan(path, *changes).config; goes in 0.3"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    config = read_config(path, catalog, overrides, allow_plugins=allow_plugins)
    assert config.source is not None
    return config, config.source


def validate(source: Source, catalog: Catalog, *, allow_plugins: bool = True) -> PipelineConfig:
    """The validated config of a merged tree. Raises ConfigError holding every problem found."""
    checker = _Checker(source, catalog)
    checker.load_plugins(allow_plugins)
    values: dict[str, Any] = {"encoders": {}, "fusers": {}}
    for section, kind in (("encoders", "encoder"), ("fusers", "fuser")):
        nodes = source.data.get(section, {})
        if not isinstance(nodes, dict):
            checker.add("must be a mapping of names to nodes", (section,), found=type(nodes).__name__)
            continue
        for name, raw in nodes.items():
            values[section][name] = checker.node(kind, (section, name), raw)
    if "llm" in source.data:
        values["llm"] = checker.node("llm", ("llm",), source.data["llm"])
    sections = {key: value for key, value in source.data.items() if key not in ("encoders", "fusers", "llm")}
    if checker.problems:
        checker.sections(sections)
    else:
        try:
            return PipelineConfig.model_validate({**sections, **values}).with_source(source)
        except ValidationError as error:
            checker.validation(error, (), PipelineConfig, _WITH_EXTENDS)
    checker.between(values)
    raise ConfigError.from_problems(checker.problems)


def validate_node(kind: Kind, raw: Any, catalog: Catalog, source: Source, path: YamlPath = ()) -> Any:
    """One node by itself, `{plugin: NAME, ...}`, validated as inside a file; `path` is its place in `source`.

    Raises ConfigError holding every problem found.
    """
    checker = _Checker(source, catalog)
    node = checker.node(kind, path, raw)
    if checker.problems:
        raise ConfigError.from_problems(checker.problems)
    return node


class _Checker:
    def __init__(self, source: Source, catalog: Catalog) -> None:
        self.source, self.catalog = source, catalog
        self.problems: list[Problem] = []

    def add(self, what: str, path: YamlPath, *, found: str = "", expected: str = "", hint: str = "") -> None:
        self.problems.append(Problem(what, self.source.location(path), found, expected, hint))

    def load_plugins(self, allowed: bool) -> None:
        refs = self.source.data.get("plugins", [])
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
            return  # reported by the schema
        if refs and not allowed:
            self.add(
                "this model's file wants to run plugin code",
                ("plugins",),
                found=join_names(refs),
                hint='read the files, then pass plugins="FILE"',
            )
            return
        for index, ref in enumerate(refs):
            try:
                load_plugins_from(self.catalog, ref, self.source.base_dir)
            except PluginError as error:
                self._add_problems(error, ("plugins", index))

    def _add_problems(self, error: PluginError, path: YamlPath) -> None:
        for problem in error.problems:
            place = f"{problem.where}: " if problem.where else ""
            self.add(place + problem.what, path, found=problem.found, expected=problem.expected, hint=problem.hint)

    def node(self, kind: Kind, path: YamlPath, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("plugin"), str):
            plugins = self.catalog.names(kind)
            near = [key for key in raw if nearest(key, ["plugin"])] if isinstance(raw, dict) else []
            named = isinstance(raw, dict) and "plugin" in raw
            self.add(
                f"{self.catalog.kind(kind).title} must name its plugin",
                (*path, "plugin") if named else (*path, *near[:1]),
                found=short_repr(raw["plugin"] if named else raw) if not near else f"the key {near[0]!r}",
                expected=f"{{plugin: NAME, ...}} with NAME one of {join_names(plugins)}",
                hint="did you mean 'plugin'?" if near else "",
            )
            return None
        if kind in ("encoder", "fuser") and path[-1] in (*RESERVED, "llm"):
            self.add(f"a node cannot be called {path[-1]!r}", path, hint="the name has another meaning here")
        options = {key: value for key, value in raw.items() if key != "plugin"}
        if kind == "encoder" and "input" not in options and path[-1] in get_args(Stream):
            options["input"] = path[-1]
        try:
            entry = self.catalog.get(kind, raw["plugin"])
            model = self.catalog.config_class(entry)
        except PluginError as error:
            self._add_problems(error, (*path, "plugin"))
            return None
        node_class, base = _NODES[kind]
        if not (isinstance(model, type) and issubclass(model, base)):
            self.add(
                f"the config class of {raw['plugin']!r} is not a {base.__name__}",
                (*path, "plugin"),
                found=entry.spec.config,
                expected=f"a subclass of affectgpt.{base.__name__}",
            )
            return None
        try:
            config: Any = model.model_validate(options, context={"base_dir": self.source.base_dir})
        except ValidationError as error:
            self.validation(error, path, model)
            return None
        except (AffectGPTError, KeyboardInterrupt):
            raise
        except BaseException as error:
            what = f"the config of {raw['plugin']!r} failed"
            self.add(what, path, found=one_line(error), hint="this is a fault of the plugin")
            return None
        streams = getattr(config, "streams", None)
        if streams is not None and "audio" in streams:
            streams = tuple(dict.fromkeys([*streams, "sound"]))
        if kind == "encoder" and streams is not None and config.input not in streams:
            self.add(
                f"{raw['plugin']!r} cannot read this stream",
                (*path, "input"),
                found=config.input,
                expected=f"one of {join_names(streams)}",
            )
            return None
        return node_class(plugin=raw["plugin"], config=config).with_entry(entry)

    def sections(self, values: dict[str, Any]) -> None:
        """Judge the sections without nodes by themselves, so that a node that failed hides none of their problems."""
        for key in values:
            if key not in PipelineConfig.model_fields:
                self.add(
                    f"there is no setting {_shortened(key)}",
                    (key,),
                    expected=f"one of {join_names(_WITH_EXTENDS)}",
                    hint=did_you_mean(key[:80], _WITH_EXTENDS),
                )
        for key in ("encoders", "llm", "prompt"):
            if key not in self.source.data:
                self.add(f"the setting {key!r} is missing", (), expected=f"{key}: ...")
        for key, section in _SECTIONS.items():
            if key in values:
                try:
                    section.model_validate(values[key])
                except ValidationError as error:
                    self.validation(error, (key,), section)

    def between(self, values: dict[str, Any]) -> None:
        """Judge how the nodes fit together, those that failed by their names alone."""
        encoders, fusers = self.source.data.get("encoders"), self.source.data.get("fusers", {})
        if not isinstance(encoders, dict) or not isinstance(fusers, dict):
            return
        if not all(isinstance(name, str) for name in (*encoders, *fusers)):
            return
        inputs = {}
        for name, node in values["fusers"].items():
            raw = fusers[name]
            names = node.config.inputs if node else raw.get("inputs") if isinstance(raw, dict) else None
            if isinstance(names, list) and all(isinstance(input_name, str) for input_name in names):
                inputs[name] = names
        raw_prompt = self.source.data.get("prompt")
        raw_prompt = raw_prompt if isinstance(raw_prompt, dict) else {}
        try:
            # The other settings of the section name no node, and were judged with it.
            prompt = PromptConfig.model_validate({k: raw_prompt[k] for k in ("template", "order") if k in raw_prompt})
        except ValidationError:
            prompt = None
        nodes = Nodes(values["encoders"], values["fusers"], inputs, values.get("llm"), prompt, self.source)
        self.problems += problems_between(nodes)

    def validation(
        self, error: ValidationError, path: YamlPath, model: type[BaseModel], names: Sequence[str] = ()
    ) -> None:
        """Add the problems of a failed validation; `names` are the settings of `model`, by default its fields."""
        # A misspelt key comes first: what is missing beside it is often its consequence.
        for wrong in sorted(error.errors(), key=lambda wrong: wrong["type"] != "extra_forbidden"):
            loc = tuple(part for part in wrong["loc"] if part != "[key]")
            setting = (*path, *loc)
            if wrong["type"] == "extra_forbidden":
                fields = names if names and len(loc) == 1 else _fields_at(model, loc[:-1])
                self.add(
                    f"there is no setting {_shortened(loc[-1])}",
                    setting,
                    expected=f"one of {join_names(fields)}",
                    hint=did_you_mean(str(loc[-1])[:80], fields),
                )
            elif wrong["type"] == "missing":
                self.add(f"the setting {loc[-1]!r} is missing", setting, expected=_field_description(model, loc))
            else:
                value = wrong.get("input")
                message = wrong["msg"].removeprefix("Value error, ")
                found_text = _shortened(value) if not isinstance(value, dict | BaseModel) else ""
                # What does not go together is named at the first of its keys, with the places of the others.
                keys = _keys_in(message, value) if wrong["type"] == "value_error" else []
                if keys:
                    setting, others = (*setting, keys[0]), [(*setting, key) for key in keys[1:]]
                    found_text = ", ".join(f"{other[-1]} at {self.source.location(other)}" for other in others)
                self.add(message[:1].lower() + message[1:], setting, found=found_text)


def _keys_in(message: str, section: Any) -> list[str]:
    """The keys of a mapping that a message names, in its order."""
    if not isinstance(section, dict):
        return []
    return [word for word in dict.fromkeys(re.findall(r"\w+", message)) if word in section]


def _shortened(value: Any) -> str:
    """`value` as Python writes it; of a long one, its beginning and how long it is."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:120]}... ({len(text):,} characters)"


def _fields_at(model: Any, loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            continue
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
        model = next((kind for kind in kinds if hasattr(kind, "model_fields")), model)
    return list(getattr(model, "model_fields", {}))


def _field_description(model: Any, loc: tuple[Any, ...]) -> str:
    field = getattr(model, "model_fields", {}).get(loc[-1])
    return (field.description or "") if field is not None else ""
