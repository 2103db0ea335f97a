"""What transformers' decoders read in their configs, from `decoder_facts.json`. No torch, no transformers.

The file is made from the installed transformers by `make facts`; [make_decoder_facts][] says what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from affectgpt.plugins.llms.refused_keys import CODE, DTYPES, refused_keys
from affectgpt.registry.errors import InterfaceError, Problem, join_names
from affectgpt.registry.messages import did_you_mean, short_repr

# Stated by a config.json about itself: nothing is built from it.
_ABOUT_THE_FILE = ("model_type", "architectures", "transformers_version")
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation", "activation_function")
_CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "max_sequence_length")
# Kinds of rotary embedding that depend on the longest row of a batch.
_ROTATIONS_BY_LENGTH = ("longrope", "su", "dynamic")
# The width of the embeddings, where it is not that of the layers.
_EMBEDDING_WIDTHS = ("word_embed_proj_dim",)
_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "ffn_dim",
    "ffn_hidden_size",
    "word_embed_proj_dim",
    "state_size",
    "sliding_window",
    *_CONTEXTS,
)
_PER_LAYER = "hidden_size_per_layer_input"
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "str": (str,),
    "list": (list, tuple),
    "dict": (dict,),
    "None": (type(None),),
}


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return facts


def decoder_types() -> list[str]:
    """Every `model_type` that the file describes as a decoder or as a section of one."""
    return sorted(_facts()["decoders"])


def activation_names() -> list[str]:
    """The names of transformers' activations."""
    names: list[str] = _facts()["activations"]
    return names


def check_activation(name: str) -> None:
    """Raise ValueError when transformers has no activation `name`."""
    if name not in activation_names():
        raise ValueError(f"there is no activation {short_repr(name)}: use one of {join_names(activation_names())}")


def check_architecture(values: Mapping[str, Any]) -> None:
    """Raise InterfaceError holding every problem of `values`, the sizes that a pipeline file gives for a decoder.

    Keys must be those that the config class of `model_type` reads: transformers takes any other key without a word.
    """
    problems = [*refused_keys(values), *_problems(values, ())]
    if problems:
        raise InterfaceError.from_problems([_at("architecture", problem) for problem in problems])


def _at(key: str, problem: Problem) -> Problem:
    return replace(problem, path=(key, *problem.path))


def _problems(values: Mapping[str, Any], path: tuple[str, ...], kind: str | None = None) -> Iterator[Problem]:
    """The problems of one section; `kind` is the model type that a section has where it states none."""
    kind = values.get("model_type", kind)
    entry = _facts()["decoders"].get(kind) if isinstance(kind, str) else None
    if entry is None or (not path and "keys" not in entry):
        if not _installed(kind):
            yield _unknown_type(kind, path)
        return
    names = {*entry["keys"], *entry.get("names", {}), *_ABOUT_THE_FILE}
    for key, value in values.items():
        if key in CODE or key in DTYPES:
            continue
        if key not in names:
            yield Problem(
                f"{kind} has no setting {key!r}",
                path=(*path, key),
                expected="a key of its config class in transformers",
                hint=did_you_mean(key, names) or f"it reads {join_names(entry['keys'])}",
            )
        elif key in entry.get("sections", {}) and isinstance(value, Mapping):
            yield from _problems(value, (*path, key), entry["sections"][key])
        elif key not in _ABOUT_THE_FILE:
            yield from _value_problems(kind, entry, key, value, path)
    if "hidden_size" in {*entry["keys"], *entry.get("names", {})}:
        yield from _size_problems(_Section(values, entry), path)


def _unknown_type(kind: Any, path: tuple[str, ...]) -> Problem:
    names = [name for name, entry in _facts()["decoders"].items() if "keys" in entry]
    return Problem(
        f"transformers {_facts()['transformers']} has no decoder of this model_type",
        path=(*path, "model_type"),
        found=short_repr(kind),
        expected="one that AutoModelForCausalLM builds, for example llama, mistral, qwen2",
        hint=did_you_mean(str(kind)[:80], names),
    )


@cache
def _installed(kind: Any) -> bool:
    """Whether the installed transformers, which may be newer than the file, names a decoder `kind`. Imports nothing."""
    spec = find_spec("transformers")
    if not isinstance(kind, str) or spec is None or spec.origin is None:
        return False
    source = Path(spec.origin).parent / "models" / "auto" / "modeling_auto.py"
    try:
        text = source.read_text(encoding="utf-8")
    except OSError:
        return False
    _, _, mapping = text.partition("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")
    return f'("{kind}",' in mapping.partition("OrderedDict(")[2].partition("\n)")[0]


def _value_problems(kind: str, entry: dict[str, Any], key: str, value: Any, path: tuple[str, ...]) -> Iterator[Problem]:
    class_key = entry.get("names", {}).get(key, key)
    types = entry["keys"].get(class_key, "any")
    if types != "any" and not any(_is_of(value, name) for name in types.split("|")):
        is_integer = "float" in types and isinstance(value, int) and not isinstance(value, bool)
        yield Problem(
            f"{key} of {kind} has the wrong type",
            path=(*path, key),
            found=short_repr(value),
            expected=types.replace("|", " or ").replace("None", "null"),
            hint=f"write {value}.0" if is_integer else "",
        )
    elif key in _ACTIVATIONS and isinstance(value, str) and value not in activation_names():
        yield Problem(
            f"there is no activation {short_repr(value)}",
            path=(*path, key),
            expected=f"one of {join_names(activation_names())}",
            hint=did_you_mean(value[:80], activation_names()),
        )
    elif (
        _is_of(value, "int") and value < 1 and key in {*_SIZES, *(entry.get("names", {}).get(name) for name in _SIZES)}
    ):
        yield Problem(f"{key} of {kind} must be above 0", path=(*path, key), found=str(value))
    elif _is_of(value, "int") and value < 0 <= entry.get("defaults", {}).get(class_key, -1):
        yield Problem(f"{key} of {kind} must not be negative", path=(*path, key), found=str(value))


def _is_of(value: Any, name: str) -> bool:
    return isinstance(value, _KINDS[name]) and (name == "bool" or not isinstance(value, bool))


class _Section:
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


def _size_problems(section: _Section, path: tuple[str, ...]) -> Iterator[Problem]:
    """Sizes that no model can have together, with the defaults of those that are not given."""
    hidden, heads, groups, vocabulary, padding = (
        section.get(name)
        for name in ("hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size", "pad_token_id")
    )
    names = {name: section.key(name) for name in ("hidden_size", "num_attention_heads", "num_key_value_heads")}
    if _sizes(hidden, heads) and section.get("head_dim") is None and hidden % heads:
        yield Problem(
            "the width does not divide among the attention heads",
            path=(*path, names["num_attention_heads"]),
            found=f"{names['hidden_size']} {hidden}, {names['num_attention_heads']} {heads}",
            expected="a width that is a multiple of the heads",
        )
    elif _sizes(hidden, heads) and section.get("head_dim") is None and _is_rotary(section) and hidden // heads % 2:
        yield Problem(
            "rotary positions need heads of an even width",
            path=(*path, names["num_attention_heads"]),
            found=f"{names['hidden_size']} {hidden} / {names['num_attention_heads']} {heads} = {hidden // heads}",
        )
    if _sizes(heads, groups) and heads % groups:
        yield Problem(
            "the attention heads do not divide among the key and value heads",
            path=(*path, names["num_key_value_heads"]),
            found=f"{names['num_attention_heads']} {heads}, {names['num_key_value_heads']} {groups}"
            + ("" if names["num_key_value_heads"] in section.values else " (its default)"),
            expected=f"num_key_value_heads: a divisor of {heads}",
        )
    is_stated = section.entry.get("padding") and _sizes(padding, vocabulary) and "vocab_size" in section.values
    if is_stated and padding >= vocabulary:
        yield Problem(
            "pad_token_id is no row of the embeddings",
            path=(*path, "pad_token_id"),
            found=f"{padding}{'' if 'pad_token_id' in section.values else ' (its default)'}",
            expected=f"below vocab_size {vocabulary}",
            hint="pad_token_id: 0",
        )


def _is_rotary(section: _Section) -> bool:
    return "rope_parameters" in section.entry["keys"] and "partial_rotary_factor" not in section.values


def _sizes(*values: Any) -> bool:
    return all(_is_of(value, "int") and value > 0 for value in values)


class Decoder:
    """The sizes of a decoder by its config's `values`, whatever their names and wherever they stand."""

    def __init__(self, values: Mapping[str, Any], where: str, place: tuple[str, ...] = ()) -> None:
        self.where, self.place = where, place
        decoders = _facts()["decoders"]
        self.kind = values.get("model_type")
        outer: dict[str, Any] = decoders.get(self.kind, {}) if isinstance(self.kind, str) else {}
        # The text section of a class that is not in the file has the name that transformers gives it everywhere.
        self.section_name: str = outer.get("text", "" if outer else "text_config" * ("text_config" in values))
        inner = values.get(self.section_name) if self.section_name else values
        inner = inner if isinstance(inner, Mapping) else {}
        kind = inner.get("model_type", outer.get("sections", {}).get(self.section_name, self.kind))
        entry = decoders.get(kind, {}) if self.section_name else outer
        self.section = _Section(inner, entry)
        self.targets: set[str] = {*outer.get("targets", ()), *entry.get("targets", ())}

    def key(self, name: str) -> tuple[str, ...]:
        """The place of a size in the config."""
        section = (self.section_name,) if self.section_name else ()
        return (*section, self.section.key(name))

    def size(self, name: str) -> int | None:
        """A size by the name that most classes give it; None where it has none, or is no number."""
        value = self.section.get(name)
        return value if _sizes(value) else None

    def rotation_limit(self) -> int | None:
        """Up to how many tokens a row is turned otherwise than a longer one; None where its length does not matter."""
        rope = self.section.values.get("rope_parameters") or self.section.values.get("rope_scaling")
        kind = (rope.get("rope_type") or rope.get("type")) if isinstance(rope, Mapping) else None
        if kind not in _ROTATIONS_BY_LENGTH:
            return None
        stated = rope.get("original_max_position_embeddings") if isinstance(rope, Mapping) else None
        for value in (stated, self.size("original_max_position_embeddings"), self.size("max_position_embeddings")):
            if _sizes(value):
                return value
        return None

    def width(self) -> int:
        """The width of an embedding. Raises InterfaceError when the config states none."""
        values = self.section.values
        for name in (*_EMBEDDING_WIDTHS, self.key("hidden_size")[-1], "hidden_size", "n_embd", "d_model"):
            if values.get(name) is not None:
                return self._positive(name, values[name])
        class_key = self.section.entry.get("names", {}).get("hidden_size", "hidden_size")
        raise InterfaceError(
            "this model's config states no width of its embeddings",
            where=self.where,
            found=f"no {class_key}",
            expected=f"{class_key}: a whole number above 0",
            path=self.place,
        )

    def context(self) -> int | None:
        """The longest sequence that the decoder reads; None where its config states no bound."""
        class_key = self.section.key("max_position_embeddings")
        for name in (class_key, *_CONTEXTS):
            if self.section.values.get(name) is not None:
                return self._positive(name, self.section.values[name])
        defaults = self.section.entry.get("defaults", {})
        return next((defaults[name] for name in (class_key, *_CONTEXTS) if _sizes(defaults.get(name))), None)

    def check_embeddings(self) -> None:
        """Raise InterfaceError for a decoder that reads token ids beside its embeddings."""
        width = self.section.get(_PER_LAYER)
        if _sizes(width):
            raise InterfaceError(
                f"{self.kind} reads the ids of its tokens in every layer, which tokens of a clip do not have",
                where=self.where,
                found=f"{_PER_LAYER} {width}",
                expected="a decoder that reads embeddings alone",
                hint=f"choose another model; of an architecture, set {_PER_LAYER}: 0",
                path=self.place,
            )

    def _positive(self, name: str, value: Any) -> int:
        if not _sizes(value):
            raise InterfaceError(
                f"{name} in this model's config is not a size",
                where=self.where,
                found=short_repr(value),
                expected="a whole number above 0",
                path=self.place,
            )
        return int(value)
