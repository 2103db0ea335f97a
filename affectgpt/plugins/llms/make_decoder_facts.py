"""Make `decoder_facts.json` from the installed transformers: `python -m affectgpt.plugins.llms.make_decoder_facts`.

Per `model_type` that AutoModelForCausalLM builds, and per section inside such a config:

    keys      every key that its config class reads -> the plain types of its value, "any" where they are not plain
    defaults  the numbers among the default values
    names     other names of keys (transformers' `attribute_map`)
    sections  nested sections -> the entry of this file that describes them
    text      the section with the sizes of the decoder, "" for the config itself
    targets   names of the layers that an adapter can be put on
    padding   whether `pad_token_id` must be a row of the embeddings

Beside them stand the names of `activations`, and the version of transformers.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("decoder_facts.json")
# What a config can say about its own file, other tasks, how its model is loaded or what a call returns: not its sizes.
_NOT_SIZES = {
    "transformers_version",
    "architectures",
    "output_hidden_states",
    "return_dict",
    "dtype",
    "is_encoder_decoder",
    "id2label",
    "label2id",
    "problem_type",
    "num_labels",
    "torch_dtype",
    "name_or_path",
    "quantization_config",
    "attn_implementation",
    "experts_implementation",
    "output_attentions",
    "auto_map",
    "model_type",
}
_ROTARY = ("rope_scaling", "rope_theta", "partial_rotary_factor")  # what `rope_parameters` was called before
_LAYERS = {"Linear", "Embedding", "Conv1D", "Conv1d", "Conv2d"}
_OTHER_TASKS = {"classifier", "qa_outputs", "score", "summary"}
_NOT_FOR_MAMBA = {"out_proj", "conv1d"}  # PEFT: the fused kernels read these weights without an adapter
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
}


def decoder_facts() -> dict[str, Any]:
    """What the file holds, from the transformers that is installed."""
    import transformers
    from transformers.activations import ACT2FN
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    entries: dict[str, Any] = {}
    for kind in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        _add(entries, kind, CONFIG_MAPPING[kind])
    return {"transformers": transformers.__version__, "activations": sorted(ACT2FN), "decoders": entries}


def write(facts: dict[str, Any]) -> None:
    """Write `facts` to the file, one line a decoder."""
    decoders = facts["decoders"]
    lines = [f"{json.dumps(kind)}: {json.dumps(entry, sort_keys=True)}" for kind, entry in sorted(decoders.items())]
    head = json.dumps({name: facts[name] for name in ("transformers", "activations")})
    FILE.write_text(head[:-1] + ', "decoders": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


def _add(entries: dict[str, Any], kind: str, config_class: Any) -> None:
    entries[kind] = {}
    sections = {}
    for section, section_class in config_class.sub_configs.items():
        section_kind = getattr(section_class, "model_type", "")
        if not section_kind:
            continue
        sections[section] = section_kind
        if section_kind not in entries:
            _add(entries, section_kind, section_class)
    source = _model_source(config_class)
    entry = {
        "keys": _keys(config_class, sections, source),
        "defaults": _numbers(config_class),
        "names": dict(config_class.attribute_map),
        "sections": sections,
        "text": next((name for name in ("text_config", "decoder") if name in sections), ""),
        "targets": sorted(_layers(source) - (_NOT_FOR_MAMBA if "mamba" in kind or kind == "falcon_h1" else set())),
        "padding": "padding_idx" in source,
    }
    entries[kind] = {name: value for name, value in entry.items() if value not in ({}, [], "", False)}


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
    return {key: types for key, types in sorted(keys.items()) if key not in _NOT_SIZES and not key.startswith("_")}


def _types(annotation: Any) -> str:
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__name__", None) if isinstance(annotation, type) else str(annotation)
    names = {part.strip().split("[")[0].split(".")[-1] for part in _outer_parts(annotation)}
    if not names <= _PLAIN_TYPES.keys():
        return "any"
    return "|".join(sorted({_PLAIN_TYPES[name] for name in names}))


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
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in _NOT_SIZES
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
