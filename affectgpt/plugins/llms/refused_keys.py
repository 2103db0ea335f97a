"""Keys of a decoder's architecture that reach a loader, and numbers that ask for work without end. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from affectgpt.registry.errors import Problem
from affectgpt.registry.messages import short_repr

CODE = (
    "auto_map",
    "custom_pipelines",
    "trust_remote_code",
    "quantization_config",
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "_experts_implementation_internal",
    "name_or_path",
    "_name_or_path",
    "base_model_name_or_path",
    "adapter_config",
    "use_kernels",
    "kernel_config",
    "_commit_hash",
    "code_revision",
)
DTYPES = ("dtype", "torch_dtype")
MOST_LAYERS = 4096
"""transformers lists the layers of a config one by one, before anything is built of it."""


def refused_keys(values: Any, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Keys that reach a loader, at any depth: a class may build each of its parts from a section of its own."""
    if isinstance(values, list | tuple):
        for index, value in enumerate(values):
            if any(isinstance(part, int) for part in path) and _is_beyond(value):
                # GPT-Neo: [[[global, local], 12]] is twelve times these two.
                yield _beyond((*path, index), value)
            yield from refused_keys(value, (*path, index))
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if key in CODE:
            yield Problem(
                f"{key!r} names code, or something to load",
                path=(*path, key),
                found=short_repr(value),
                expected="sizes only",
                hint="remove it: an architecture runs no code of its own",
            )
        elif key in DTYPES:
            yield Problem(
                f"{key!r} is an option of the node", path=(*path, key), hint=f"write dtype: {value} beside architecture"
            )
        elif _is_layer_count(key) and _is_beyond(value):
            yield _beyond((*path, key), value)
        else:
            yield from refused_keys(value, (*path, key))


def _beyond(path: tuple[str | int, ...], value: int) -> Problem:
    return Problem(
        "these are more layers than can be built", path=path, found=f"{value:,}", expected=f"at most {MOST_LAYERS:,}"
    )


def _is_beyond(value: Any) -> bool:
    return type(value) is int and value > MOST_LAYERS


def _is_layer_count(key: Any) -> bool:
    return isinstance(key, str) and re.search(r"(^|_)(layers?|depth)$", key) is not None
