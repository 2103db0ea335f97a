"""Make `decoder_facts.json` from the installed transformers: `python -m affectgpt.plugins.llms.make_decoder_facts`.

Per `model_type` that AutoModelForCausalLM builds, and per section inside such a config:

    keys      every key that its config class reads -> the plain types of its value, "any" where they are not plain
    defaults  the numbers among the default values
    names     other names of keys (transformers' `attribute_map`)
    values    keys of text -> the texts that their type allows
    layers    the kinds of layer that the model builds
    labels    the names that `rope_parameters` has where they are not the kinds of layer
    rotary    keys that the model reads in `rope_parameters`, beside those of the type
    turned    the part of a head that is turned by its position, where that is not the whole
    sections  nested sections -> the entry of this file that describes them
    text      the section with the sizes of the decoder, "" for the config itself
    targets   names of the layers of the built decoder that an adapter can be put on
    more      other such names -> the keys with which the decoder has them
    padding   whether `pad_token_id` must be a row of the embeddings
    divides   whether the width must divide among the heads, whatever the width of a head
    backward  that a token reads those after it -> the keys that, when true, make it read those before it alone

Beside them stand the names of `activations`, the keys of every type of rotary embedding (`needs`, `takes`), and the
version of transformers. Models are built without memory to see their layers, and once with small sizes to see what
their tokens read.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectgpt.plugins.llms.built_decoders import NOT_SIZES, built_facts, no_targets

FILE = Path(__file__).with_name("decoder_facts.json")
# What a config can say about its own file, other tasks, how its model is loaded or what a call returns: not its sizes.
_ROTARY = ("rope_scaling", "rope_theta", "partial_rotary_factor")  # what `rope_parameters` was called before
_LAYERS = {"Linear", "Embedding", "Conv1D", "Conv1d", "Conv2d"}
_OTHER_TASKS = {"classifier", "qa_outputs", "score", "summary"}
_FILLED = {"rope_type", "rope_theta", "original_max_position_embeddings"}  # transformers fills them in
_ALWAYS_TAKEN = {"rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"}
# The types of keys that no class states types for, by the ends of their names.
_BY_ENDING = (
    (r"(_dim|_size|heads|_rank|n_embed)$", {"int"}),
    (r"(theta|_pct|_freq|_base|_scale|_factor)$", {"int", "float"}),
)
_PLAIN_TYPES = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "list": "list",
    "tuple": "list",
    "dict": "dict",
    "RopeParameters": "dict",
    "None": "None",
    "Literal": "str",
}


def decoder_facts() -> dict[str, Any]:
    """What the file holds, from the transformers that is installed."""
    import transformers
    from transformers.activations import ACT2FN
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    entries = decoders(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
    _complete_types(entries)
    return {
        "transformers": transformers.__version__,
        "activations": sorted(ACT2FN),
        "rotations": _rotations(),
        "decoders": entries,
    }


def decoders(kinds: Iterable[str]) -> dict[str, Any]:
    """The entries of `kinds` and of the sections in them; types that a class does not state are "any"."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    entries: dict[str, Any] = {}
    for kind in kinds:
        _add(entries, kind, CONFIG_MAPPING[kind])
        entries[kind] |= built_facts(CONFIG_MAPPING[kind], entries[kind])
    return entries


def write(facts: dict[str, Any]) -> None:
    """Write `facts` to the file, one line a decoder."""
    decoders = facts["decoders"]
    lines = [f"{json.dumps(kind)}: {json.dumps(entry, sort_keys=True)}" for kind, entry in sorted(decoders.items())]
    head = json.dumps({name: facts[name] for name in ("transformers", "activations", "rotations")})
    FILE.write_text(head[:-1] + ', "decoders": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


def _add(entries: dict[str, Any], kind: str, config_class: Any) -> None:
    entries[kind] = {}
    sections = {}
    for section, section_class in config_class.sub_configs.items():
        if not isinstance(section_class, type):
            continue
        # A section without a type of its own, such as MPT's `attn_config`.
        section_kind = getattr(section_class, "model_type", "") or f"{kind}.{section}"
        if section_class.__name__ == "AutoConfig":
            continue
        sections[section] = section_kind
        if section_kind not in entries:
            _add(entries, section_kind, section_class)
    source = _model_source(config_class)
    keys = _keys(config_class, sections, source)
    entry = {
        "keys": keys,
        "defaults": _numbers(config_class),
        "names": dict(config_class.attribute_map),
        "values": _texts(config_class, keys, source),
        "layers": _layer_types(config_class, source),
        "labels": sorted(getattr(config_class, "_rope_type_labels", ())),
        "rotary": sorted({*re.findall(r"rope_parameters(?:\[|\.get\()\"(\w+)\"", source), *_ignored(config_class)}),
        "sections": sections,
        "text": next((name for name in ("text_config", "decoder") if name in sections), ""),
        "targets": sorted(_layers(source) - no_targets(kind)),
        "padding": "padding_idx" in source,
        "divides": "is not a multiple of" in _own_source(config_class, "validate_architecture"),
    }
    entries[kind] = {name: value for name, value in entry.items() if value not in ({}, [], "", False)}


def _own_source(config_class: Any, method: str) -> str:
    return inspect.getsource(vars(config_class)[method]) if method in vars(config_class) else ""


def _ignored(config_class: Any) -> set[str]:
    return set(getattr(config_class, "ignore_keys_at_rope_validation", None) or ())


def _complete_types(entries: dict[str, Any]) -> None:
    """A key without plain types has those that all other classes give it, and may be null."""
    by_name: dict[str, set[str]] = {}
    for entry in entries.values():
        for key, types in entry.get("keys", {}).items():
            if types != "any":
                by_name.setdefault(key, set()).update(types.split("|"))
    # These are no fields of most classes.
    by_name |= {"rope_theta": {"float", "int"}, "partial_rotary_factor": {"float", "int"}, "rope_scaling": {"dict"}}
    for entry in entries.values():
        for key, types in entry.get("keys", {}).items():
            plain = by_name.get(key) or next((kinds for end, kinds in _BY_ENDING if re.search(end, key)), None)
            if types == "any" and plain:
                entry["keys"][key] = "|".join(sorted({*plain, "None"}))


def _texts(config_class: Any, keys: dict[str, str], source: str) -> dict[str, list[str]]:
    """Per key of text, the values of its type; where a text stands for a number, its default and those in the code.

    A text that code compares a key with is not the only one: Granite 4.0 says `nope` where only `rope` is looked for.
    """
    compared: dict[str, set[str]] = {}
    config_source = inspect.getsource(sys.modules[config_class.__module__])
    for node in (*ast.walk(ast.parse(source)), *ast.walk(ast.parse(config_source))):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            for name in names:
                compared.setdefault(name, set()).update(text for side in sides for text in _constants(side))
    texts: dict[str, list[str]] = {}
    for field in dataclasses.fields(config_class):
        if "str" not in keys.get(field.name, "").split("|") or "act" in field.name.split("_"):
            continue
        stated = set(re.findall(r"Literal\[([^]]*)\]", str(field.type)))
        values = {value for text in stated for value in ast.literal_eval(f"[{text}]")}
        if not values and "int" in keys[field.name].split("|"):
            values = compared.get(field.name, set())
        if values:
            texts[field.name] = sorted(values | ({field.default} if isinstance(field.default, str) else set()))
    return texts


def _constants(tree: ast.AST) -> set[str]:
    """The texts that stand in a piece of code."""
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def _layer_types(config_class: Any, source: str) -> list[str]:
    """The names of transformers' kinds of layer that the model or its config speak of, and their former names."""
    from transformers.configuration_utils import _LEGACY_LAYER_TYPE_REMAP, ALLOWED_LAYER_TYPES

    source += inspect.getsource(sys.modules[config_class.__module__])
    names = {text for text in _constants(ast.parse(source)) if text in ALLOWED_LAYER_TYPES}
    with suppress(Exception):  # a class without defaults for all that it needs
        config = config_class()
        for key in ("layer_types", "mlp_layer_types", "layers_block_type"):
            names |= {layer for layer in getattr(config, key, None) or () if isinstance(layer, str)}
    return sorted(names | {former for former, name in _LEGACY_LAYER_TYPE_REMAP.items() if name in names})


def _rotations() -> dict[str, dict[str, list[str]]]:
    """Per type of rotary embedding the keys that it `needs`, and all that it `takes`."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RotaryEmbeddingConfigMixin

    types = {}
    for name in ("default", *ROPE_INIT_FUNCTIONS):
        method = getattr(RotaryEmbeddingConfigMixin, f"_validate_{name}_rope_parameters")
        keys: dict[str, set[str]] = {"required_keys": set(), "optional_keys": set()}
        for node in ast.walk(ast.parse(inspect.cleandoc("\n" + inspect.getsource(method)))):
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Name) and target.id in keys and isinstance(node.value, ast.Set):  # type: ignore[attr-defined]
                keys[target.id] = set(ast.literal_eval(node.value))  # type: ignore[attr-defined]
        needs, takes = keys["required_keys"], {*keys["required_keys"], *keys["optional_keys"], *_ALWAYS_TAKEN}
        types[name] = {"needs": sorted(needs - _FILLED), "takes": sorted(takes)}
    return types


def _keys(config_class: Any, sections: dict[str, str], source: str) -> dict[str, str]:
    from transformers import PreTrainedConfig

    keys = {field.name: _types(field.type) for field in dataclasses.fields(config_class)}
    # Names of earlier versions, which the class reads out of its remaining arguments.
    for owner in config_class.__mro__[: config_class.__mro__.index(PreTrainedConfig)]:
        for name in _read_arguments(owner):
            keys.setdefault(name, "any")
    for name in re.findall(r"getattr\((?:self\.)?config, \"(\w+)\"", source):
        keys.setdefault(name, "any")
    if "rope_parameters" in keys:
        keys |= {name: keys.get(name, "any") for name in _ROTARY}
    keys |= dict.fromkeys(sections, "dict")
    return {key: types for key, types in sorted(keys.items()) if key not in NOT_SIZES and not key.startswith("_")}


def _types(annotation: Any) -> str:
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__name__", None) if isinstance(annotation, type) else str(annotation)
    names = {_plain_type(part.strip()) for part in _outer_parts(_without_optional(annotation))}
    return "any" if "any" in names else "|".join(sorted(names))


def _without_optional(annotation: str) -> str:
    text = annotation.removeprefix("typing.")
    if text.startswith("Optional[") and text.endswith("]"):
        return f"{text[9:-1]} | None"
    return text


def _plain_type(annotation: str) -> str:
    """The name of one alternative, a list with the type of its items where that is plain."""
    outer, _, inner = annotation.partition("[")
    name = _PLAIN_TYPES.get(outer.split(".")[-1], "any")
    items = _types(inner[:-1]) if name == "list" and inner and "," not in inner else "any"
    return name if items == "any" or "|" in items else f"list[{items}]"


def _outer_parts(annotation: str) -> list[str]:
    """The alternatives of a union, split at the bars that stand in no bracket."""
    parts, depth = [""], 0
    for letter in annotation:
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _read_arguments(owner: Any) -> set[str]:
    """Names that methods of a class take out of `kwargs`."""
    names: set[str] = set()
    for method in vars(owner).values():
        if not inspect.isfunction(method):
            continue
        try:
            tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(method)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            is_read = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("pop", "get", "setdefault")
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "kwargs"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            )
            if is_read:
                names.add(node.args[0].value)  # type: ignore[attr-defined]
    return names


def _numbers(config_class: Any) -> dict[str, int | float]:
    values = {field.name: field.default for field in dataclasses.fields(config_class)}
    return {
        name: value
        for name, value in sorted(values.items())
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in NOT_SIZES
    }


def _model_source(config_class: Any) -> str:
    """The source of the models of a config; "" where it has none of its own."""
    module = config_class.__module__.replace(".configuration_", ".modeling_")
    try:
        return inspect.getsource(importlib.import_module(module))
    except ImportError:
        return ""


def _layers(source: str) -> set[str]:
    """Names of the attributes to which the models assign a layer that PEFT can put an adapter on."""
    targets = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function = node.value.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _LAYERS or "Linear" in name:
                targets |= {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
    return targets - _OTHER_TASKS


if __name__ == "__main__":
    facts = decoder_facts()
    write(facts)
    print(f"{len(facts['decoders'])} decoders of transformers {facts['transformers']} in {FILE}", file=sys.stderr)
