"""Read a safetensors file and check names, shapes and dtypes against the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import first_and_more, reason

_LARGEST_HEADER = 1 << 24
_MOST_TENSORS = 40_000


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises CheckpointError when it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError("a file of the saved model is missing", where=str(path))
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise error_unreadable(path, error) from error


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a safetensors file, from its header alone. Raises as [read_tensors][]."""
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise error_unreadable(path, error) from error


def _check_header(path: Path) -> None:
    """Raise ValueError for a header that takes long: safetensors lists the names of 200,000 tensors in minutes."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        count = file.read(size).count(b'"data_offsets"') if size <= _LARGEST_HEADER else 0
    if size > _LARGEST_HEADER:
        raise ValueError(f"a header of {size:,} bytes, more than {_LARGEST_HEADER:,}")
    if count > _MOST_TENSORS:
        raise ValueError(f"{count:,} tensors, more than {_MOST_TENSORS:,}")


def error_unreadable(path: Path, error: Exception) -> CheckpointError:
    """The error for a safetensors file that is damaged or cannot be opened."""
    return CheckpointError(
        "the weights cannot be read",
        where=str(path),
        found=reason(error),
        expected="a whole safetensors file",
        hint="copy or download it again",
    )


def copy_into(current: Mapping[str, Tensor], stored: Mapping[str, Tensor], where: str) -> None:
    """Copy `stored` into the tensors `current`. Raises CheckpointError that names every misfit."""
    check_tensors(current, stored, where)
    with torch.no_grad():
        for name, tensor in current.items():
            tensor.copy_(stored[name])


def check_tensors(current: Mapping[str, Tensor], stored: Mapping[str, Tensor], where: str) -> None:
    """Raise CheckpointError that names every tensor of `stored` that is missing, extra, misshapen or not finite."""
    problems = []
    missing, extra = sorted(current.keys() - stored.keys()), sorted(stored.keys() - current.keys())
    for what, names in (("tensors are missing", missing), ("tensors do not belong to this pipeline", extra)):
        if names:
            hint = "was it saved from another config?"
            problems.append(Problem(f"{len(names)} {what}", where, first_and_more(names, 8), hint=hint))
    for name in sorted(current.keys() & stored.keys()):
        tensor, stored_tensor = current[name], stored[name]
        if tensor.shape != stored_tensor.shape or tensor.is_floating_point() != stored_tensor.is_floating_point():
            problems.append(
                Problem(
                    f"{name} has the wrong form",
                    where,
                    f"{list(stored_tensor.shape)} {stored_tensor.dtype}",
                    f"{list(tensor.shape)} {tensor.dtype}",
                )
            )
        elif stored_tensor.is_floating_point() and not bool(torch.isfinite(stored_tensor).all()):
            problems.append(Problem(f"{name} holds values that are not finite", where))
    if problems:
        raise CheckpointError.from_problems(problems)
