"""Settings that are younger than some saved models, runs and feature caches, with the value that such a file means.

Whatever is written to disk holds every setting of its time, so a setting that a file lacks did not exist yet: it takes
the value here, under which the program behaves as before the setting existed, and not today's default. Whoever adds a
setting to a section or to the config of a built-in plugin adds it here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SETTINGS: dict[str, Any] = {"presence": "off", "training.step_loss": "micro-batches"}
"""`"section.key"` or `"section"` of a pipeline file -> value, as in `"training.betas": [0.9, 0.999]`."""

OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("encoder", "clip-vision"): {"resize": "crop"},
    ("encoder", "open-clip"): {"preprocessing": "clip"},
    ("encoder", "speech"): {"padding": "read"},
    ("encoder", "timm"): {"facts": "ignored"},
    ("encoder", "timm-mel"): {"facts": "ignored", "padding": "read"},
    ("llm", "causal-lm"): {"begin_marker": False},
}
"""Kind and name of a plugin -> its options, as in `("encoder", "mel"): {"delta": False}`."""

_KINDS = {"encoders": "encoder", "fusers": "fuser"}
_MISSING = object()


def complete_config(data: dict[str, Any]) -> None:
    """Add to `data`, a saved pipeline as in its YAML file, the settings that it lacks."""
    for path, value in SETTINGS.items():
        section, _, key = path.rpartition(".")
        target = data.setdefault(section, {}) if section else data
        if isinstance(target, dict):
            target.setdefault(key, value)
    for section, kind in _KINDS.items():
        nodes = data.get(section)
        for node in nodes.values() if isinstance(nodes, dict) else ():
            _complete_node(kind, node)
    _complete_node("llm", data.get("llm"))


def _complete_node(kind: str, node: Any) -> None:
    if isinstance(node, dict) and isinstance(node.get("plugin"), str):
        for option, value in OPTIONS.get((kind, node["plugin"]), {}).items():
            node.setdefault(option, value)


def without_earlier_options(kind: str, plugin: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a plugin without those that have the value from before they existed.

    So a file that has such an option and one that lacks it are equal when they mean the same.
    """
    earlier = OPTIONS.get((kind, plugin), {})
    return {key: value for key, value in options.items() if earlier.get(key, _MISSING) != value}


def without_earlier_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings (`"encoders.face.frames": 4`) without those that have the value from before they existed."""
    return {key: value for key, value in settings.items() if _earlier_value(key, settings) != value}


def changes_to_go_on(data: Mapping[str, Any], former: Mapping[str, Any]) -> list[str]:
    """Changes with which the pipeline file `data` means what it meant when a run with the settings `former` was begun.

    A setting that neither the file nor the run names takes its value from before it existed. `former` is flat, as
    `"encoders.face.frames": 4`.
    """
    changes = [
        f"{path}={json.dumps(value)}"
        for path, value in SETTINGS.items()
        if _read(data, path) is _MISSING and not any(f"{key}.".startswith(f"{path}.") for key in former)
    ]
    nodes = {("llm", "llm"): data.get("llm")}
    for section, kind in _KINDS.items():
        section_nodes = data.get(section)
        for name, node in section_nodes.items() if isinstance(section_nodes, dict) else ():
            nodes[kind, f"{section}.{name}"] = node
    for (kind, place), node in nodes.items():
        if not isinstance(node, dict) or not isinstance(node.get("plugin"), str):
            continue
        for option, value in OPTIONS.get((kind, node["plugin"]), {}).items():
            if option not in node and f"{place}.plugin" in former and f"{place}.{option}" not in former:
                changes.append(f"{place}.{option}={json.dumps(value)}")
    return changes


def _read(data: Any, path: str) -> Any:
    for key in path.split("."):
        data = data.get(key, _MISSING) if isinstance(data, Mapping) else _MISSING
    return data


def _earlier_value(key: str, settings: Mapping[str, Any]) -> Any:
    if key in SETTINGS:
        return SETTINGS[key]
    section, _, path = key.partition(".")
    if section == "llm":
        return OPTIONS.get(("llm", settings.get("llm.plugin", "")), {}).get(path, _MISSING)
    node, _, option = path.partition(".")
    plugin = settings.get(f"{section}.{node}.plugin", "")
    return OPTIONS.get((_KINDS.get(section, ""), plugin), {}).get(option, _MISSING)
