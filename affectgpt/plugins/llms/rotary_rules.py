"""What an `architecture` may say of rotary positions: types, their keys and numbers, the width of a head. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affectgpt.plugins.llms.decoder_facts import Section, are_sizes, general_facts, is_of
from affectgpt.plugins.llms.number_rules import broken_rule
from affectgpt.registry.errors import Problem, join_names
from affectgpt.registry.messages import did_you_mean, short_repr

_ROTARY = ("rope_parameters", "rope_scaling")
_SU = ("phi3", "phi4_multimodal")  # their first configs name longrope so


def rotation_problems(section: Section) -> Iterator[Problem]:
    """How positions turn the heads: types, their keys and numbers, and the width of a head."""
    if "rope_parameters" not in section.entry["keys"]:
        return
    for key in _ROTARY:
        rope = section.values.get(key)
        if not isinstance(rope, Mapping):
            continue
        # What turns layers may have names of its own, and layers that nothing turns have none.
        labels = set(section.entry.get("labels", ()))
        layers = (labels or set(section.entry.get("layers", ()))) & rope.keys()
        used = {layer for layer in section.values.get("layer_types") or layers if isinstance(layer, str)}
        used = used & labels or layers if labels else used
        for layer in sorted(layers):
            if rope[layer] is not None:
                inner = rope[layer] if isinstance(rope[layer], Mapping) else {"rope_type": rope[layer]}
                yield from _type_problems(section, inner, (key, layer))
        for layer in sorted(used - rope.keys()) if layers else ():
            yield Problem(f"{key} says nothing of the layers of {layer}", path=(key,), expected=f"{layer}: ...")
        if not layers:
            yield from _type_problems(section, rope, (key,))
    yield from _head_problems(section)


def _type_problems(section: Section, rope: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    rotations: dict[str, dict[str, Sequence[str]]] = general_facts()["rotations"]
    kind = rope.get("rope_type", rope.get("type", "default"))
    is_su = kind == "su" and section.values.get("model_type") in _SU
    facts = rotations.get("longrope" if is_su else kind) if isinstance(kind, str) else None
    if facts is None:
        yield Problem(
            "there is no such type of rotary positions",
            path=(*path, "rope_type" if "rope_type" in rope else "type"),
            found=short_repr(kind),
            expected=f"one of {join_names(rotations)}",
            hint=did_you_mean(str(kind)[:80], rotations),
        )
        return
    for name in facts["needs"]:
        if rope.get(name) is None:
            yield Problem(f"rotary positions of type {kind!r} need {name!r}", path=path, expected=f"{name}: ...")
    takes = {*facts["takes"], *section.entry.get("rotary", ())}
    for name, value in rope.items():
        if name not in takes:
            yield Problem(
                f"rotary positions of type {kind!r} have no setting {name!r}",
                path=(*path, name),
                expected=f"one of {join_names(takes)}",
                hint=did_you_mean(str(name), takes),
            )
        elif name not in ("rope_type", "type") and (must := _broken_rotation(name, value)):
            yield Problem(f"{name} must {must}", path=(*path, name), found=short_repr(value))
    slow: Any = rope.get("low_freq_factor")
    fast: Any = rope.get("high_freq_factor")
    if is_of(slow, "int|float") and is_of(fast, "int|float") and slow > fast:
        yield Problem(
            "high_freq_factor must not be below low_freq_factor",
            path=(*path, "high_freq_factor"),
            found=f"{fast}, low_freq_factor {slow}",
        )
    turned = _turned(section, rope)
    for name in ("short_factor", "long_factor"):
        factors = rope.get(name)
        if turned is not None and isinstance(factors, list | tuple) and len(factors) != turned // 2:
            yield Problem(
                f"{name} does not fit the width of a head",
                path=(*path, name),
                found=f"{len(factors)} numbers",
                expected=f"{turned // 2}, half of what is turned of a head",
            )


def _broken_rotation(name: str, value: Any) -> str:
    if name in ("short_factor", "long_factor"):
        is_right = is_of(value, "list") and all(is_of(item, "int|float") and item > 0 for item in value)
        return "" if is_right else "be a list of numbers above 0"
    if name == "truncate":
        return "" if isinstance(value, bool) else "be true or false"
    if name.startswith("mrope") or value is None:
        return ""
    if not is_of(value, "int|float") or not math.isfinite(value):
        return "be a number"
    if name == "factor":
        return "" if value >= 1 else "be at least 1"
    if name == "original_max_position_embeddings" and not is_of(value, "int"):
        return "be a whole number"
    return broken_rule(name, value, None)


def _head(section: Section) -> int | None:
    stated, hidden, heads = map(section.get, ("head_dim", "hidden_size", "num_attention_heads"))
    if stated is None and are_sizes(hidden, heads):
        return int(hidden // heads)
    return stated if are_sizes(stated) else None


def _turned(section: Section, rope: Mapping[str, Any]) -> int | None:
    """How much of a head is turned, as a number of its values."""
    head = _head(section)
    parts = (rope.get("partial_rotary_factor"), section.values.get("partial_rotary_factor"))
    part = next((value for value in (*parts, section.values.get("rotary_pct")) if value is not None), None)
    part = section.entry.get("turned", 1.0) if part is None else part
    return int(head * part) if head is not None and is_of(part, "int|float") and 0 < part <= 1 else None


def _head_problems(section: Section) -> Iterator[Problem]:
    rope = next((value for key in _ROTARY if isinstance(value := section.values.get(key), Mapping)), {})
    head, turned = _head(section), _turned(section, rope)
    if head is None or turned is None or section.get("hidden_size") is None:
        return
    if turned >= 2 and (turned < head or head % 2 == 0):
        return
    heads_key, hidden_key = section.key("num_attention_heads"), section.key("hidden_size")
    sizes = f"{hidden_key} {section.get('hidden_size')} / {heads_key} {section.get('num_attention_heads')} = {head}"
    is_stated = section.get("head_dim") is not None
    yield Problem(
        f"rotary positions {'need heads of an even width' if turned == head else 'turn too little of a head'}",
        path=("head_dim" if is_stated else heads_key,),
        found=f"head_dim {head}" if is_stated else sizes,
    )
