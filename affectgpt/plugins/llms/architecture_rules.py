"""What an `architecture` must keep so that its model is built, trains and answers: rules by kind of key. No torch.

Types, defaults and texts are transformers' own, as [decoder_facts][] holds them. A number is judged by what its name
says that it is (a dropout, an epsilon, a size), so that keys of tomorrow's classes are judged too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from affectgpt.plugins.llms.decoder_facts import (
    Section,
    activation_names,
    are_sizes,
    decoder_entry,
    decoder_types,
    general_facts,
    is_of,
)
from affectgpt.plugins.llms.number_rules import LARGEST, broken_rule
from affectgpt.plugins.llms.refused_keys import CODE, DTYPES, refused_keys
from affectgpt.plugins.llms.rotary_rules import rotation_problems
from affectgpt.registry.errors import InterfaceError, Problem, join_names
from affectgpt.registry.messages import did_you_mean, short_repr

Place = tuple[str | int, ...]
# Stated by a config.json about itself: nothing is built from it.
_ABOUT_THE_FILE = ("model_type", "architectures", "transformers_version")
# Keys of published files that their classes no longer read, with the value that says what the model does anyway.
_LEFTOVERS: dict[str, dict[str, Any]] = {
    "cohere": {"pretraining_tp": 1},
    "deepseek_v3": {"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "gpt2": {"n_ctx": 1024},
    "phi3": {"attention_bias": False},
    "smollm3": {"pretraining_tp": 1},
}
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation", "activation_function")
_PER_LAYER = ("layer_types", "mlp_layer_types", "no_rope_layers", "layers_block_type")
_HEADS_OF_KEYS = ("num_key_value_heads", "num_kv_heads")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
_CHOSEN_EXPERTS = ("num_experts_per_tok", "top_k_experts", "moe_topk", "moe_top_k", "moe_k", "num_experts_per_token")
# Sections that read no text: only the names and types of their keys are judged.
_OTHER_SENSES = ("vision_config", "audio_config")
_ENDS_OF_TEXT = ("pad_token_id", "bos_token_id", "eos_token_id")


def check_architecture(values: Mapping[str, Any]) -> None:
    """Raise InterfaceError holding every problem of `values`, the sizes that a pipeline file gives for a decoder.

    Keys must be those that the config class of `model_type` reads: transformers takes any other key without a word.
    """
    problems = [*refused_keys(values), *_not_finite(values), *_problems(values, ())]
    if problems:
        raise InterfaceError.from_problems([_at("architecture", problem) for problem in problems])


def _at(key: str, problem: Problem) -> Problem:
    return replace(problem, path=(key, *problem.path))


def _not_finite(value: Any, path: Place = ()) -> Iterator[Problem]:
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in inner:
        yield from _not_finite(item, (*path, key))
    # Mamba 2: an upper bound of infinity is none, the default of its class.
    is_bound = len(path) > 1 and path[-2:] == ("time_step_limit", 1) and value == math.inf
    if isinstance(value, float) and not math.isfinite(value) and not is_bound:
        yield Problem("a number must be finite", path=path, found=str(value))


def _problems(values: Mapping[str, Any], path: Place, kind: str | None = None) -> Iterator[Problem]:
    """The problems of one section; `kind` is the model type that a section has where it states none."""
    kind = values.get("model_type", kind)
    entry = decoder_entry(kind) if isinstance(kind, str) else {}
    if "keys" not in entry:
        if not path and not _installed(kind):
            yield _unknown_type(kind, path)
        return
    if not path:
        yield from _direction_problems(str(kind), entry, values)
    names = {*entry["keys"], *entry.get("names", {}), *_ABOUT_THE_FILE}
    leftovers = _LEFTOVERS.get(str(kind), {})
    for key, value in values.items():
        if key in CODE or key in DTYPES or (key in leftovers and value == leftovers[key]):
            continue
        if key not in names:
            yield Problem(
                f"{kind} has no setting {key!r}",
                path=(*path, key),
                expected="a key of its config class in transformers",
                hint=did_you_mean(str(key), names) or f"it reads {join_names(entry['keys'])}",
            )
        elif key in entry.get("sections", {}) and isinstance(value, Mapping):
            yield from _problems(value, (*path, key), entry["sections"][key])
        elif key not in _ABOUT_THE_FILE and not (key in _OTHER_SENSES and value is None):
            problem = _value_problem(str(kind), entry, key, values)
            if problem is not None:
                yield replace(problem, path=(*path, *problem.path))
    if path and path[-1] in _OTHER_SENSES:
        return
    section = Section(values, entry)
    for problem in (*_size_problems(section), *_layer_problems(section), *rotation_problems(section)):
        yield replace(problem, path=(*path, *problem.path))


def _unknown_type(kind: Any, path: Place) -> Problem:
    names = [name for name in decoder_types() if "keys" in decoder_entry(name)]
    return Problem(
        f"transformers {general_facts()['transformers']} has no decoder of this model_type",
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


def _direction_problems(kind: str, entry: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    """A model of which a token reads those after it continues no text."""
    switches = entry.get("backward")
    if switches is not None and not any(values.get(key) is True for key in switches):
        yield Problem(
            f"{kind} reads a text in both directions: it cannot continue one",
            path=(switches[0] if switches and switches[0] in values else "model_type",),
            expected="a decoder, for example llama, mistral, qwen2",
            hint=f"{switches[0]}: true makes one of it" if switches else "",
        )


def _value_problem(kind: str, entry: Mapping[str, Any], key: str, values: Mapping[str, Any]) -> Problem | None:
    value = values[key]
    class_key = entry.get("names", {}).get(key, key)
    types, texts = entry["keys"].get(class_key, "any"), entry.get("values", {}).get(class_key)
    default = entry.get("defaults", {}).get(class_key)
    if not is_of(value, types):
        is_integer = "float" in types and is_of(value, "int")
        # Else the hint would offer a number that is refused for its value next.
        must = broken_rule(class_key, float(value), default) if is_integer and abs(value) <= LARGEST else ""
        if must:
            return Problem(f"{key} of {kind} must {must}", path=(key,), found=str(value))
        return Problem(
            f"{key} of {kind} has the wrong type",
            path=(key,),
            found=short_repr(value),
            expected=types.replace("|", " or ").replace("None", "null"),
            hint=f"write {value}.0" if is_integer else "",
        )
    if key in _ACTIVATIONS and isinstance(value, str) and value not in activation_names():
        return Problem(
            f"there is no activation {short_repr(value)}",
            path=(key,),
            expected=f"one of {join_names(activation_names())}",
            hint=did_you_mean(value[:80], activation_names()),
        )
    if isinstance(value, str) and texts and value not in texts:
        return Problem(
            f"{key} of {kind} has no value {short_repr(value)}",
            path=(key,),
            expected=f"one of {join_names(texts)}",
            hint=did_you_mean(value[:80], texts),
        )
    if key.startswith("use_bidirectional") and value not in (None, False, "vision"):
        return Problem(
            f"{key} makes {kind} read a text in both directions: it cannot continue one",
            path=(key,),
            found=str(value),
            hint="leave it out",
        )
    if key == "sliding_window" and value == 0 and "use_sliding_window" in entry["keys"]:
        return None if not values.get("use_sliding_window") else Problem("a window must hold a token", path=(key,))
    if key == "pad_token_id" and value == -1:  # the first configs of LLaMA: the last row
        return None
    if is_of(value, "int|float") and math.isfinite(value) and value != default:
        must = broken_rule(class_key, value, default)
        return Problem(f"{key} of {kind} must {must}", path=(key,), found=str(value)) if must else None
    return None


def _size_problems(section: Section) -> Iterator[Problem]:
    """Sizes that no model can have together, with the defaults of those that are not given."""
    if "hidden_size" not in {*section.entry["keys"], *section.entry.get("names", {})}:
        return
    hidden, heads, vocabulary = map(section.get, ("hidden_size", "num_attention_heads", "vocab_size"))
    hidden_key, heads_key = map(section.key, ("hidden_size", "num_attention_heads"))
    divides = section.get("head_dim") is None or section.entry.get("divides")
    if are_sizes(hidden, heads) and divides and hidden % heads and not section.has_defaults("hidden_size", heads_key):
        yield Problem(
            "the width does not divide among the attention heads",
            path=(heads_key,),
            found=f"{hidden_key} {hidden}, {heads_key} {heads}",
            expected="a width that is a multiple of the heads",
        )
    for name in _HEADS_OF_KEYS:
        groups = section.get(name)
        if are_sizes(heads, groups) and heads % groups:
            yield Problem(
                "the attention heads do not divide among the key and value heads",
                path=(section.key(name),),
                found=f"{heads_key} {heads}, {section.key(name)} {groups}{_default(section, name)}",
                expected=f"{name}: a divisor of {heads}",
            )
    yield from _expert_problems(section)
    for name in _ENDS_OF_TEXT if are_sizes(vocabulary) and "vocab_size" in section.values else ():
        ids = section.get(name)
        is_counted = name in section.values or (name == "pad_token_id" and section.entry.get("padding"))
        is_counted = is_counted and not section.has_defaults(name, "vocab_size")
        beyond = [number for number in (ids if isinstance(ids, list) else [ids]) if is_of(number, "int")]
        if is_counted and any(number >= vocabulary for number in beyond):
            yield Problem(
                f"{name} is no row of the embeddings",
                path=(name,),
                found=f"{ids}{_default(section, name)}",
                expected=f"below vocab_size {vocabulary}",
                hint=f"{name}: 0",
            )


def _default(section: Section, name: str) -> str:
    return "" if section.key(name) in section.values else " (its default)"


def _expert_problems(section: Section) -> Iterator[Problem]:
    experts_key = next((name for name in _EXPERTS if is_of(section.get(name), "int")), None)
    if experts_key is None:
        return
    experts = section.get(experts_key)
    for name in _CHOSEN_EXPERTS:
        chosen = section.get(name)
        if are_sizes(experts, chosen) and chosen > experts:
            yield Problem(
                "a token is sent to more experts than there are",
                path=(section.key(name),),
                found=f"{section.key(name)} {chosen}{_default(section, name)}, {section.key(experts_key)} {experts}",
                expected=f"at most {experts}",
            )
    groups, chosen_groups = section.get("n_group"), section.get("topk_group")
    if are_sizes(experts, groups) and experts % groups:
        yield Problem(
            "the experts do not divide among their groups",
            path=("n_group",),
            found=f"n_group {groups}{_default(section, 'n_group')}, {section.key(experts_key)} {experts}",
            expected=f"a divisor of {experts}",
        )
    if are_sizes(groups, chosen_groups) and chosen_groups > groups:
        yield Problem(
            "a token is sent to more groups of experts than there are",
            path=("topk_group",),
            found=f"topk_group {chosen_groups}{_default(section, 'topk_group')}, n_group {groups}",
            expected=f"at most {groups}",
        )


def _layer_problems(section: Section) -> Iterator[Problem]:
    """Lists with an item for every layer, and what the kinds of layer in them need."""
    count, known = section.get("num_hidden_layers"), section.entry.get("layers", ())
    for key in _PER_LAYER:
        layers = section.values.get(key)
        # Llama 4: no numbers at all mean those of the class.
        if not isinstance(layers, list | tuple) or (key == "no_rope_layers" and not layers):
            continue
        if are_sizes(count) and len(layers) != count:
            yield Problem(
                f"{key} does not fit the layers",
                path=(key,),
                found=f"{len(layers)} for {section.key('num_hidden_layers')} {count}",
                expected="one for each layer",
            )
        for index, layer in enumerate(layers) if known and key != "no_rope_layers" else ():
            if layer not in known:
                yield Problem(
                    "this model has no such kind of layer",
                    path=(key, index),
                    found=short_repr(layer),
                    expected=f"one of {join_names(known)}",
                    hint=did_you_mean(str(layer)[:80], known),
                )
        has_window = section.get("sliding_window") is not None and section.get("use_sliding_window") is not False
        if "sliding_attention" in layers and "sliding_window" in section.entry["keys"] and not has_window:
            yield Problem(
                "layers of sliding attention need a window",
                path=(key,),
                expected="sliding_window: a number of tokens"
                + (", and use_sliding_window: true" if "use_sliding_window" in section.entry["keys"] else ""),
            )
