"""Read names, shapes and dtypes from the header of a safetensors file."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from affectgpt.core.saved.tensors import error_unreadable
from affectgpt.registry.errors import CheckpointError

Header = dict[str, tuple[tuple[int, ...], str]]
"""Tensor name -> its shape and its dtype as safetensors writes it (F32, BF16, I64, ...)."""
# Buffers of torch's normalisation layers, which are not weights.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def read_header(path: Path) -> Header:
    """The names, shapes and dtypes of a safetensors file. Raises CheckpointError when it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError("a file of the saved model is missing", where=str(path))
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return {name: (tuple(each.get_shape()), str(each.get_dtype())) for name, each in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise error_unreadable(path, error) from error


def weights_per_part(path: Path) -> dict[str, int]:
    """Count the weights of each part (`encoders.face`, `fusers.multi`, `llm`) in a safetensors file.

    The statistics of normalisation layers are not weights, and a matrix that is stored under two names (an embedding
    tied to the output layer) counts once. Raises CheckpointError when the file is missing or damaged.
    """
    header = read_header(path)
    copies = _stored_again(path, header)
    counts: dict[str, int] = {}
    for name, (shape, _) in header.items():
        keys = name.split(".")
        part = keys[0] if keys[0] == "llm" else ".".join(keys[:2])
        if keys[-1] not in _STATISTICS and name not in copies:
            counts[part] = counts.get(part, 0) + prod(shape)
    return counts


def _stored_again(path: Path, header: Header) -> set[str]:
    """The names of matrices that equal an earlier matrix of the same part. Constant matrices are not compared."""
    copies: set[str] = set()
    by_start: dict[tuple[object, ...], list[str]] = {}
    with safe_open(path, framework="pt") as file:
        for name, (shape, dtype) in header.items():
            if len(shape) < 2 or 0 in shape:
                continue
            first = file.get_slice(name)[:1].flatten()
            if bool((first == first[0]).all()):
                continue
            candidates = by_start.setdefault((name.split(".")[0], shape, dtype, *first[:4].tolist()), [])
            if any(torch.equal(file.get_tensor(name), file.get_tensor(candidate)) for candidate in candidates):
                copies.add(name)
            candidates.append(name)
    return copies
