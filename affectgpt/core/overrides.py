"""What changes a pipeline file before it is validated: one level of `extends`, and `key.path=value` overrides.

A mapping is merged key by key, with three exceptions, because options of one thing mean nothing to another:

- A node that names its `plugin` starts from that plugin's defaults and keeps `input` and `inputs`.
- A node with another `model` loses the `tokenizer`, the `architecture` and the `layers` of the former one.
- An `architecture` with another `model_type` replaces the former one.

Each of them leaves a note that lists what was not kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from affectgpt.bundled import bundled_config
from affectgpt.core.yaml_source import MAX_DEPTH, Source, YamlPath, load_yaml, read_mapping
from affectgpt.registry.errors import ConfigError

NODE_SECTIONS = ("encoders", "fusers")
_KEPT_WITH_PLUGIN = ("plugin", "input", "inputs")
_DROPPED_WITH_MODEL = ("tokenizer", "architecture", "layers")


def read_source(
    path: str | Path, overrides: Sequence[str] = (), *, complete: Callable[[dict[str, Any]], None] | None = None
) -> Source:
    """Read a YAML file, the one it extends, and apply `key.path=value` overrides.

    `complete` adds settings to what the file holds, before the overrides. Raises ConfigError when a file is missing,
    too large, not YAML, not a mapping, repeats a key, extends a file that extends another, or when an override is
    malformed.
    """
    source = read_mapping(path)
    if complete is not None:
        complete(source.data)
    return _merged(source, overrides)


def mapping_source(
    data: Mapping[str, Any], overrides: Sequence[str] = (), *, base_dir: Path | None = None, name: str = "config"
) -> Source:
    """`data`, a pipeline as in a YAML file, as a source with `overrides`; `data` itself stays as it is.

    Relative paths are meant from `base_dir`, by default the working folder; `name` stands for the file in messages.
    Raises ConfigError as [read_source][].
    """
    path = (base_dir or Path()) / name
    locations: dict[YamlPath, str] = {}
    return _merged(Source(path, _copy(data, name, (), locations), locations), overrides)


def _copy(value: Any, name: str, path: YamlPath, locations: dict[YamlPath, str]) -> Any:
    """`value` of the plain types that a YAML file has, mappings copied; each place in it is recorded as in `name`."""
    locations[path] = name
    if len(path) > MAX_DEPTH:
        raise ConfigError("the config is nested too deeply", where=name, expected=f"at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {key: _copy(item, name, (*path, key), locations) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item, name, (*path, index), locations) for index, item in enumerate(value)]
    return str(value) if isinstance(value, Path) else value


def _merged(source: Source, overrides: Sequence[str]) -> Source:
    base_name = source.data.pop("extends", None)
    if base_name is not None:
        source = _extend(source, base_name)
    parsed = [_parse_override(source, override) for override in overrides]
    # What drops options comes first, so that the order in which overrides are written does not matter.
    for path, value, location in sorted(parsed, key=lambda override: _rank(override[0], override[1])):
        _apply(source, path, value, location)
    return source


def _extend(child: Source, base_name: Any) -> Source:
    if not isinstance(base_name, str):
        raise ConfigError("extends must name one file", where=child.location(("extends",)), found=repr(base_name))
    base = read_mapping(_base_path(child, base_name))
    if "extends" in base.data:
        raise ConfigError(
            "the extended file extends another one",
            where=base.location(("extends",)),
            expected="one level of extends",
            hint=f"write the settings of {base.data['extends']!r} into {base_name!r}",
        )
    # Paths in the base are meant from the base's own folder.
    data = _rebase(base.data, base.base_dir, child.base_dir)
    merged = Source(child.path, data, dict(base.locations), child.notes)
    _merge(merged, data, child.data, (), child)
    return merged


def _base_path(child: Source, name: str) -> Path:
    """The file that `extends: name` means: one beside `child`, else a bundled pipeline where `name` is a plain word."""
    path = child.base_dir / name
    if os.path.exists(path) or "/" in name or "\\" in name or Path(name).suffix:
        return path
    try:
        return bundled_config(name)
    except ConfigError as error:
        (problem,) = error.problems
        raise ConfigError(
            f"there is neither a file nor a bundled pipeline {name!r}",
            where=child.location(("extends",)),
            expected=f"the path of a YAML file, or {problem.expected}",
            hint=problem.hint,
        ) from None


def _rebase(value: Any, old: Path, new: Path) -> Any:
    if old.resolve() == new.resolve():
        return value
    if isinstance(value, dict):
        return {key: _rebase(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_rebase(item, old, new) for item in value]
    return str((old / value).resolve()) if isinstance(value, str) and value.startswith(("./", "../")) else value


def _merge(target: Source, base: dict[str, Any], override: dict[str, Any], path: YamlPath, source: Source) -> None:
    for key, value in override.items():
        key_path = (*path, key)
        if value == {} and isinstance(base.get(key), dict) and base[key]:
            name = ".".join(map(str, key_path))
            raise ConfigError(
                f"an empty {name!r} changes nothing here",
                where=source.location(key_path),
                found="{}, beside " + f"{len(base[key])} setting{'s' * (len(base[key]) > 1)} that it is merged with",
                hint=f"leave it out, or write {name}: null to take them away"
                if _null_deletes(key_path)
                else "leave it out, or write the settings that change",
            )
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _drop_old_options(target, base[key], value, key_path)
            _merge(target, base[key], value, key_path, source)
        elif value is None and key in base and _null_deletes(key_path):
            del base[key]
        else:
            base[key] = value
            for location in [inner for inner in source.locations if inner[: len(key_path)] == key_path]:
                target.locations[location] = source.locations[location]


def _null_deletes(path: YamlPath) -> bool:
    """`null` takes away whole sections, nodes and rates; for a plain setting it is a value like any other."""
    return len(path) == 1 or _is_node(path) or (len(path) == 3 and path[:2] == ("training", "rates"))


def _is_node(path: YamlPath) -> bool:
    return path == ("llm",) or (len(path) == 2 and path[0] in NODE_SECTIONS)


def _drop_old_options(target: Source, current: dict[str, Any], override: dict[str, Any], path: YamlPath) -> None:
    """Take out of `current` what does not outlive `override`, by the rules of this module, and note it."""
    if _is_node(path) and "plugin" in override:
        keys: Iterable[str] = [key for key in current if key not in _KEPT_WITH_PLUGIN]
        what = f"{override['plugin']!r} with its defaults"
    elif _is_node(path) and "model" in override and override["model"] != current.get("model"):
        keys, what = [key for key in _DROPPED_WITH_MODEL if current.get(key) is not None], "another model"
    elif _is_architecture(path) and override.get("model_type", current.get("model_type")) != current.get("model_type"):
        keys, what = list(current), f"model_type {override['model_type']!r}"
    else:
        return
    for key in keys:
        del current[key]
    lost = [key for key in keys if key not in override]
    if lost:
        target.notes.append(f"{'.'.join(map(str, path))}: {what}; not kept: {', '.join(lost)}")


def _is_architecture(path: YamlPath) -> bool:
    return path[-1:] == ("architecture",) and _is_node(path[:-1])


def _parse_override(source: Source, override: str) -> tuple[YamlPath, Any, str]:
    """The path, the value and the location of an override."""
    location = f"changes: {override if len(override) <= 200 else override[:200] + '...'}"
    if not _is_text(override):
        raise ConfigError(
            "a change holds bytes that are no UTF-8 text",
            where=location.encode("utf-8", "backslashreplace").decode(),
            hint="write it in UTF-8; a path with such bytes can be reached by a link with another name",
        )
    key, equals, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    # The name of a rate holds a full stop itself.
    if keys[:2] == ["training", "rates"]:
        keys = [*keys[:2], *filter(None, [".".join(keys[2:])])]
    if not equals or not all(keys):
        raise ConfigError("an override must be key.path=value", where=location, expected="fusers.multi.plugin=mean")
    try:
        value = load_yaml(text, location) if text.strip() else ""
    except yaml.YAMLError as error:
        raise ConfigError("the value of an override is not valid YAML", where=location, found=text[:200]) from error
    return tuple(keys), value, location


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _rank(path: YamlPath, value: Any) -> int:
    """0: names a plugin. 1: names a model. 2: names a model type. 3: all else."""
    named = {path[-1]} | (set(value) if isinstance(value, dict) else set())
    node = path if _is_node(path) or _is_architecture(path) else path[:-1]
    if _is_node(node):
        return 0 if "plugin" in named else 1 if "model" in named else 3
    return 2 if _is_architecture(node) and "model_type" in named else 3


def _apply(source: Source, path: YamlPath, value: Any, location: str) -> None:
    override: Any = value
    for key in reversed(path):
        override = {key: override}
    node: Any = source.data
    for depth, key in enumerate(path[:-1]):
        node = node.get(key) if isinstance(node, dict) else None
        if node is not None and not isinstance(node, dict):
            raise ConfigError(
                f"{'.'.join(map(str, path[: depth + 1]))} is not a mapping",
                where=location,
                found=repr(node),
                hint="override the whole value instead",
            )
    locations = {path[:end]: location for end in range(1, len(path) + 1)}
    _merge(source, source.data, override, (), Source(source.path, {}, locations))
