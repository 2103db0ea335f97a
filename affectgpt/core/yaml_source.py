"""A pipeline file as a tree of values in which every value knows its file and line.

One level of `extends` and the `--set` overrides are applied here, before anything is validated.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from affectgpt.registry.errors import ConfigError

Path_ = tuple[str | int, ...]
MAX_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 40
KINDS_OF_NODES = ("encoders", "fusers")
KEPT_ON_SWAP = ("plugin", "input", "inputs")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Source:
    """The merged tree `data`, and `places`: path in the tree -> "file:line" or the override that set it.

    `base_dir` is the folder that relative paths are meant from; `notes` says what merging left out.
    """

    path: Path
    data: dict[str, Any]
    places: dict[Path_, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def base_dir(self) -> Path:
        return self.path.parent

    def where(self, path: Path_) -> str:
        """The place of a value, or of the nearest parent that is written down, with its YAML path."""
        label = ".".join(str(part) for part in path)
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return f"{self.places[path[:end]]}{f' ({label})' if label else ''}"
        return f"{self.path}{f' ({label})' if label else ''}"


def read_source(path: str | Path, overrides: Sequence[str] = ()) -> Source:
    """Read a YAML file, the one it extends, and apply `key.path=value` overrides.

    Raises ConfigError when a file is missing, too large, not YAML, not a mapping, repeats a key, extends a
    file that extends another, or when an override is malformed.
    """
    source = read_mapping(path)
    parent = source.data.pop("extends", None)
    if parent is not None:
        source = _extend(source, parent)
    # A swap of plugin drops the old plugin's options, so it must come before the options of the new one.
    for override in sorted(overrides, key=lambda text: not text.split("=")[0].strip().endswith(".plugin")):
        _apply(source, override)
    return source


def read_mapping(
    path: str | Path,
    *,
    what: str = "pipeline",
    keys: str = "encoders, fusers, llm, prompt",
    max_bytes: int = MAX_BYTES,
    max_nodes: int = MAX_NODES,
) -> Source:
    """Read one YAML file that must hold a mapping, as it stands; `what` and `keys` say in messages what it should be.

    Raises ConfigError when the file is missing, larger than `max_bytes`, not UTF-8, not YAML, not a mapping, repeats
    a key, or holds more than `max_nodes` values or `MAX_DEPTH` levels (aliases count as often as they are used).
    """
    path = Path(path)
    content = _content(path, what, max_bytes)
    source = Source(path, {})
    try:
        text = content.decode("utf-8")
        _refuse_depth(text, str(path))
        loader = _Loader(text)
        node = loader.get_single_node()
        builder = _Builder(path, source.places, loader, max_nodes)
        data = builder.build(node, (), 0) if node is not None else None
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8 text", where=str(path), found=str(error)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError("the file is not valid YAML", where=f"{path}:{line}", found=str(error.problem)) from error
    except yaml.YAMLError as error:
        raise ConfigError("the file is not valid YAML", where=str(path), found=str(error).splitlines()[0]) from error
    if not isinstance(data, dict):
        raise ConfigError(f"a {what} file must be a mapping", where=str(path), found=type(data).__name__, expected=keys)
    source.data = data
    return source


def _content(path: Path, what: str, max_bytes: int) -> bytes:
    """The bytes of a regular file. Raises ConfigError for anything else, and beyond `max_bytes`."""
    expected = f"a {what} YAML file"
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError("there is no such file", where=str(path), expected=expected) from error
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigError("the file cannot be read", where=str(path), found=found, expected=expected) from error
    if not stat.S_ISREG(mode):
        what = "this is a folder" if stat.S_ISDIR(mode) else "this is a device or a pipe, not a file"
        raise ConfigError(what, where=str(path), expected=expected)
    if len(content) > max_bytes:
        raise ConfigError(
            f"the file is too large to be a {what}",
            where=str(path),
            found=f"more than {max_bytes} bytes",
            expected=f"at most {max_bytes} bytes",
        )
    return content


def _refuse_depth(text: str, where: str) -> None:
    """libyaml composes recursively, in C: a deep file would end the process before anything could be said."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(
                "the YAML is nested too deeply",
                where=f"{where}:{line}",
                expected=f"at most {MAX_DEPTH} levels",
            )


class _Builder:
    """YAML nodes -> values, noting lines, refusing repeated keys and trees that grow without end."""

    def __init__(self, path: Path, places: dict[Path_, str], loader: Any, max_nodes: int) -> None:
        self.path, self.places, self.loader, self.max_nodes, self.count = path, places, loader, max_nodes, 0

    def build(self, node: yaml.Node, path: Path_, depth: int) -> Any:
        self.count += 1
        line = node.start_mark.line + 1
        self.places[path] = f"{self.path}:{line}"
        if self.count > self.max_nodes or depth > MAX_DEPTH:
            raise ConfigError(
                "the file is nested too deeply or repeats itself too often",
                where=f"{self.path}:{line}",
                expected=f"at most {self.max_nodes} values and {MAX_DEPTH} levels",
            )
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                at = f"{self.path}:{key_node.start_mark.line + 1}"
                if key is None:
                    raise ConfigError("a key must be a word", where=at)
                if key in result:
                    raise ConfigError(f"the key {key!r} is given twice", where=at, hint="remove one of them")
                here = (*path, key)
                result[key] = self.build(value_node, here, depth + 1)
                self.places[here] = at
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index), depth + 1) for index, child in enumerate(node.value)]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(
                "a value cannot be read",
                where=f"{self.path}:{line}",
                found=str(getattr(node, "value", "")),
                expected="text, a number, true, false or null",
            ) from error
        return value if isinstance(value, str | int | float | bool | None) else str(node.value)


def _extend(child: Source, parent: Any) -> Source:
    if not isinstance(parent, str):
        raise ConfigError("extends must name one file", where=child.where(("extends",)), found=repr(parent))
    base = read_mapping(child.base_dir / parent)
    if "extends" in base.data:
        raise ConfigError(
            "the extended file extends another one",
            where=base.where(("extends",)),
            expected="one level of extends",
            hint=f"write the settings of {base.data['extends']!r} into {parent!r}",
        )
    # Paths in the base are meant from the base's own folder.
    data = _rebase(base.data, base.base_dir, child.base_dir)
    merged = Source(child.path, data, dict(base.places), child.notes)
    _merge(merged, data, child.data, (), child)
    return merged


def _rebase(value: Any, old: Path, new: Path) -> Any:
    if old.resolve() == new.resolve():
        return value
    if isinstance(value, dict):
        return {key: _rebase(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_rebase(each, old, new) for each in value]
    return str((old / value).resolve()) if isinstance(value, str) and value.startswith(("./", "../")) else value


def _merge(target: Source, base: dict[str, Any], over: dict[str, Any], path: Path_, source: Source) -> None:
    for key, value in over.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _swap(target, base[key], value, here)
            _merge(target, base[key], value, here, source)
        elif value is None and key in base and _removable(here):
            del base[key]
        else:
            base[key] = value
            for place in [each for each in source.places if each[: len(here)] == here]:
                target.places[place] = source.places[place]


def _removable(path: Path_) -> bool:
    """`null` takes away whole sections, nodes and rates; for a plain setting it is a value like any other."""
    node = len(path) == 2 and path[0] in KINDS_OF_NODES
    return len(path) == 1 or node or (len(path) == 3 and path[:2] == ("training", "rates"))


def _swap(target: Source, node: dict[str, Any], over: dict[str, Any], path: Path_) -> None:
    """Another plugin on a node: the options of the old one mean nothing to it, its inputs stay."""
    is_node = path == ("llm",) or (len(path) == 2 and path[0] in KINDS_OF_NODES)
    if not is_node or "plugin" not in over or over["plugin"] == node.get("plugin"):
        return
    dropped = [key for key in node if key not in KEPT_ON_SWAP]
    for key in dropped:
        del node[key]
    if dropped:
        target.notes.append(
            f"{'.'.join(map(str, path))}: now {over['plugin']!r}; options of {node.get('plugin')!r} not kept:"
            f" {', '.join(dropped)}"
        )


def _apply(source: Source, override: str) -> None:
    place = f"--set {override}"
    key, equals, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not equals or not all(keys):
        raise ConfigError("an override must be key.path=value", where=place, expected="fusers.multi.plugin=mean")
    try:
        _refuse_depth(text, place)
        value = yaml.load(text, Loader=_Loader) if text.strip() else ""
    except yaml.YAMLError as error:
        raise ConfigError("the value of an override is not valid YAML", where=place, found=text) from error
    over: Any = value
    for part in reversed(keys):
        over = {part: over}
    node: Any = source.data
    for depth, part in enumerate(keys[:-1]):
        node = node.get(part) if isinstance(node, dict) else None
        if node is not None and not isinstance(node, dict):
            raise ConfigError(
                f"{'.'.join(keys[: depth + 1])} is not a mapping",
                where=place,
                found=repr(node),
                hint="override the whole value instead",
            )
    path = tuple(keys)
    set_here = Source(source.path, {}, {path[:end]: place for end in range(1, len(path) + 1)})
    _merge(source, source.data, over, (), set_here)
