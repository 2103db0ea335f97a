"""A YAML file as a tree of values in which every value has its file and line, for messages."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from affectgpt.registry.errors import ConfigError

YamlPath = tuple[str | int, ...]
MAX_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 40

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Source:
    """The merged tree `data`, and `locations`: path in the tree -> "file:line" or the override that set it.

    `base_dir` is the folder that relative paths are meant from; `notes` lists what merging did not keep.
    """

    path: Path
    data: dict[str, Any]
    locations: dict[YamlPath, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def base_dir(self) -> Path:
        return self.path.parent

    def location(self, path: YamlPath) -> str:
        """The location of a value, or of its nearest parent in a file, with its YAML path."""
        label = ".".join(str(part)[:80] for part in path)
        for end in range(len(path), -1, -1):
            if path[:end] in self.locations:
                return f"{self.locations[path[:end]]}{f' ({label})' if label else ''}"
        return f"{self.path}{f' ({label})' if label else ''}"


def read_mapping(
    path: str | Path,
    *,
    what: str = "pipeline",
    keys: str = "encoders, fusers, llm, prompt",
    max_bytes: int = MAX_BYTES,
    max_nodes: int = MAX_NODES,
) -> Source:
    """Read one YAML file that must hold a mapping; `what` and `keys` name it and its keys in messages.

    Raises ConfigError when the file is missing, larger than `max_bytes`, not UTF-8, not YAML, not a mapping, repeats
    a key, or holds more than `max_nodes` values or `MAX_DEPTH` levels (aliases count as often as they are used).
    """
    path = Path(path)
    content = _content(path, what, max_bytes)
    source = Source(path, {})
    try:
        text = content.decode("utf-8")
        check_depth(text, str(path))
        loader = _Loader(text)
        node = loader.get_single_node()
        builder = _Builder(str(path), source.locations, loader, max_nodes)
        data = builder.build(node, (), 0) if node is not None else None
    except UnicodeDecodeError as error:
        raise ConfigError("the file is not UTF-8 text", where=str(path), found=str(error)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError("the file is not valid YAML", where=f"{path}:{line}", found=str(error.problem)) from error
    except yaml.YAMLError as error:
        raise ConfigError("the file is not valid YAML", where=str(path), found=" ".join(str(error).split())) from error
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


def load_yaml(text: str, where: str) -> Any:
    """The value of a YAML text that stands in no file, read as in one. Raises yaml.YAMLError, and ConfigError."""
    check_depth(text, where)
    loader = _Loader(text)
    node = loader.get_single_node()
    return _Builder(where, {}, loader, MAX_NODES, lines=False).build(node, (), 0) if node is not None else None


def check_depth(text: str, where: str) -> None:
    """Raise ConfigError for YAML that is nested too deeply.

    libyaml composes recursively, in C: a deep file would end the process without a message.
    """
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


_NUMBERS = "a whole number in base ten; text in quotes"


def _misread_number(text: str, value: int) -> str:
    """What YAML 1.1 makes of a whole number that nobody writes so, or that is too long to be shown; "" for others."""
    if value.bit_length() > 1024:
        return f"{text[:40]}... ({len(text):,} characters)" if len(text) > 40 else text
    digits = text.lstrip("+-").replace("_", "")
    return f"{text}, which YAML takes for {value}" if ":" in digits or re.fullmatch("0[0-9]+", digits) else ""


class _Builder:
    """YAML nodes -> values, with their lines. Raises ConfigError for repeated keys and for trees of endless growth."""

    def __init__(
        self, where: str, locations: dict[YamlPath, str], loader: Any, max_nodes: int, *, lines: bool = True
    ) -> None:
        self.where, self.locations, self.loader, self.lines = where, locations, loader, lines
        self.max_nodes, self.count = max_nodes, 0

    def _location(self, node: yaml.Node) -> str:
        return f"{self.where}:{node.start_mark.line + 1}" if self.lines else self.where

    def build(self, node: yaml.Node, path: YamlPath, depth: int) -> Any:
        self.count += 1
        where = self.locations[path] = self._location(node)
        if self.count > self.max_nodes or depth > MAX_DEPTH:
            raise ConfigError(
                "the file is nested too deeply or repeats itself too often",
                where=where,
                expected=f"at most {self.max_nodes} values and {MAX_DEPTH} levels",
            )
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                location = self._location(key_node)
                if key is None:
                    raise ConfigError("a key must be a word", where=location)
                if key in result:
                    raise ConfigError(f"the key {key!r} is given twice", where=location, hint="remove one of them")
                key_path = (*path, key)
                result[key] = self.build(value_node, key_path, depth + 1)
                self.locations[key_path] = location
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index), depth + 1) for index, child in enumerate(node.value)]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(
                "a value cannot be read",
                where=where,
                found=str(getattr(node, "value", ""))[:200],
                expected="text, a number, true, false or null",
            ) from error
        if type(value) is int and (trap := _misread_number(node.value, value)):
            raise ConfigError("a number cannot be read", where=where, found=trap, expected=_NUMBERS)
        return value if isinstance(value, str | int | float | bool | None) else str(node.value)
