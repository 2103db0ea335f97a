"""What transformers' decoders read in their configs, from `decoder_facts.json`. No torch, no transformers.

The file is made from the installed transformers by `make facts`; [make_decoder_facts][] says what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import InterfaceError, join_names
from affectgpt.registry.messages import short_repr

_CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "max_sequence_length")
# Kinds of rotary embedding that depend on the longest row of a batch.
_ROTATIONS_BY_LENGTH = ("longrope", "su", "dynamic")
# The width of the embeddings, where it is not that of the layers.
_EMBEDDING_WIDTHS = ("word_embed_proj_dim",)
_PER_LAYER = "hidden_size_per_layer_input"
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "str": (str,),
    "list": (list, tuple),
    "dict": (Mapping,),
    "None": (type(None),),
}


@cache
def _lines() -> dict[str, str]:
    """Line of the file by decoder, as text: only those that are asked for are parsed."""
    _, _, decoders = _text().partition("\n")
    return dict(line.rstrip(",").split(": ", 1) for line in decoders.splitlines()[:-1])


@cache
def _text() -> str:
    return Path(__file__).with_suffix(".json").read_text(encoding="utf-8")


@cache
def general_facts() -> dict[str, Any]:
    """What the file says of no decoder alone: `transformers`, `activations` and `rotations`."""
    facts: dict[str, Any] = json.loads(_text().partition("\n")[0] + "}}")
    return facts


@cache
def decoder_entry(kind: str) -> dict[str, Any]:
    """What the file says of a `model_type`, or of a section of one; {} when it does not name it."""
    entry: dict[str, Any] = json.loads(_lines().get(json.dumps(kind), "{}"))
    return entry


def decoder_types() -> list[str]:
    """Every `model_type` that the file describes as a decoder or as a section of one."""
    return sorted(map(json.loads, _lines()))


def activation_names() -> list[str]:
    """The names of transformers' activations."""
    names: list[str] = general_facts()["activations"]
    return names


def check_activation(name: str) -> None:
    """Raise ValueError when transformers has no activation `name`."""
    if name not in activation_names():
        raise ValueError(f"there is no activation {short_repr(name)}: use one of {join_names(activation_names())}")


def is_of(value: Any, types: str) -> bool:
    """Whether `value` is of one of the plain `types` of the file, `int|list[str]` for example."""
    return any(_is_of(value, name) for name in types.split("|"))


def _is_of(value: Any, name: str) -> bool:
    name, _, items = name.partition("[")
    if name == "any":
        return True
    is_plain: bool = isinstance(value, _KINDS[name])
    if not is_plain or (name != "bool" and isinstance(value, bool)):
        return False
    return not items or all(_is_of(item, items[:-1]) for item in value)


def are_sizes(*values: Any) -> bool:
    """Whether each of `values` is a whole number above 0."""
    return all(is_of(value, "int") and value > 0 for value in values)


class Section:
    """The values of a config beside the facts of its class: a size under any of its names, else its default."""

    def __init__(self, values: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        self.values, self.entry = values, entry

    def key(self, name: str) -> str:
        """The name under which `values` states a size, else the class's own."""
        class_key: str = self.entry.get("names", {}).get(name, name)
        return name if name in self.values and class_key not in self.values else class_key

    def get(self, name: str) -> Any:
        key = self.key(name)
        class_key = self.entry.get("names", {}).get(name, name)
        return self.values[key] if key in self.values else self.entry.get("defaults", {}).get(class_key)

    def has_defaults(self, *names: str) -> bool:
        """Whether all of `names` have the values of the class, which fit together as its model makes them fit."""
        defaults = self.entry.get("defaults", {})
        return all(self.get(name) == defaults.get(self.entry.get("names", {}).get(name, name)) for name in names)


class Decoder:
    """The sizes of a decoder by its config's `values`, whatever their names and wherever they stand."""

    def __init__(self, values: Mapping[str, Any], where: str, place: tuple[str, ...] = ()) -> None:
        self.where, self.place = where, place
        self.kind = values.get("model_type")
        outer = decoder_entry(self.kind) if isinstance(self.kind, str) else {}
        # The text section of a class that is not in the file has the name that transformers gives it everywhere.
        self.section_name: str = outer.get("text", "" if outer else "text_config" * ("text_config" in values))
        inner = values.get(self.section_name) if self.section_name else values
        inner = inner if isinstance(inner, Mapping) else {}
        kind = inner.get("model_type", outer.get("sections", {}).get(self.section_name, self.kind))
        entry = (decoder_entry(kind) if isinstance(kind, str) else {}) if self.section_name else outer
        self.section = Section(inner, entry)
        # Layers that one more key brings, such as OPT's `project_in` where embeddings have a width of their own.
        more = {name for name, keys in outer.get("more", {}).items() if any(key in inner for key in keys)}
        # A decoder that reads ids in every layer is refused: what it has for them is never built.
        self.targets = {name for name in {*outer.get("targets", ()), *more} if "per_layer" not in name}

    def key(self, name: str) -> tuple[str, ...]:
        """The place of a size in the config."""
        section = (self.section_name,) if self.section_name else ()
        return (*section, self.section.key(name))

    def size(self, name: str) -> int | None:
        """A size by the name that most classes give it; None where it has none, or is no number."""
        value = self.section.get(name)
        return value if are_sizes(value) else None

    def rotation_limit(self) -> int | None:
        """Up to how many tokens a row is turned otherwise than a longer one; None where its length does not matter."""
        rope = self.section.values.get("rope_parameters") or self.section.values.get("rope_scaling")
        kind = (rope.get("rope_type") or rope.get("type")) if isinstance(rope, Mapping) else None
        if kind not in _ROTATIONS_BY_LENGTH:
            return None
        stated = rope.get("original_max_position_embeddings") if isinstance(rope, Mapping) else None
        for value in (stated, self.size("original_max_position_embeddings"), self.size("max_position_embeddings")):
            if are_sizes(value):
                return value
        return None

    def width(self) -> int:
        """The width of an embedding. Raises InterfaceError when the config states none."""
        values = self.section.values
        for name in (*_EMBEDDING_WIDTHS, self.key("hidden_size")[-1], "hidden_size", "n_embd", "d_model"):
            if values.get(name) is not None:
                return self._positive(name, values[name])
        class_key = self.section.entry.get("names", {}).get("hidden_size", "hidden_size")
        default = self.section.entry.get("defaults", {}).get(class_key)
        raise InterfaceError(
            "this model's config states no width of its embeddings",
            where=self.where,
            found=f"no {class_key}",
            expected=f"{class_key}: a whole number above 0",
            hint=f"the default of {self.kind} is {class_key}: {default}" if default else "",
            path=self.place,
        )

    def context(self) -> int | None:
        """The longest sequence that the decoder reads; None where its config states no bound."""
        class_key = self.section.key("max_position_embeddings")
        for name in (class_key, *_CONTEXTS):
            if self.section.values.get(name) is not None:
                return self._positive(name, self.section.values[name])
        defaults = self.section.entry.get("defaults", {})
        return next((defaults[name] for name in (class_key, *_CONTEXTS) if are_sizes(defaults.get(name))), None)

    def check_embeddings(self) -> None:
        """Raise InterfaceError for a decoder that reads token ids beside its embeddings."""
        width = self.section.get(_PER_LAYER)
        if are_sizes(width):
            raise InterfaceError(
                f"{self.kind} reads the ids of its tokens in every layer, which tokens of a clip do not have",
                where=self.where,
                found=f"{_PER_LAYER} {width}",
                expected="a decoder that reads embeddings alone",
                hint=f"choose another model; of an architecture, set {_PER_LAYER}: 0",
                path=self.place,
            )

    def _positive(self, name: str, value: Any) -> int:
        if not are_sizes(value):
            raise InterfaceError(
                f"{name} in this model's config is not a size",
                where=self.where,
                found=short_repr(value),
                expected="a whole number above 0",
                path=self.place,
            )
        return int(value)
