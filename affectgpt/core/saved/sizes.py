"""Compare the sizes that a saved model states with the tensors that it holds, before memory is taken for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from affectgpt.core.assembly import build_module
from affectgpt.core.plan import Plan, PlannedNode
from affectgpt.registry.errors import AffectGPTError, CheckpointError, Problem

# Rotation tables and masks are not stored: a model with small weights may have some.
_NOT_STORED = 64 * 1024 * 1024


class _TooLarge(Exception):
    """Ends the building of a module that is larger than it may be."""


def check_sizes(plan: Plan, shapes: Mapping[str, tuple[int, ...]], where: Path) -> None:
    """Raise CheckpointError when the modules of `plan` are larger than the stored tensors `shapes`, or of other sizes.

    Every module that is drawn at random and then filled is built without memory, on the device `meta`. Parts that read
    a model folder are checked against that folder when they are loaded; a plugin that cannot be built on `meta` is not
    checked here.
    """
    problems = []
    for prefix, node, arguments in _nodes(plan):
        stored = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
        count = sum(map(_numel, stored.values()))
        module = None
        bounds = 2 * count + _NOT_STORED // 4, 4 * len(stored) + 1000
        with suppress(AffectGPTError, _TooLarge), torch.device("meta"), _bounded(*bounds) as excess:
            module = build_module(node, node.config, *arguments, node.output)
        # Whatever the plugin, or who builds it, made of the exception.
        if excess:
            problems.append(
                Problem(
                    f"{node.name} is far larger than what is stored of it",
                    str(where),
                    f"{excess[0]}, and {count:,} numbers stored",
                    "sizes of the stored tensors",
                    "was it saved from another config?",
                )
            )
        elif module is not None:
            problems += _misfits(prefix, module, stored, where)
    if problems:
        raise CheckpointError.from_problems(problems)


def _nodes(plan: Plan) -> Iterator[tuple[str, PlannedNode[Any], tuple[Any, ...]]]:
    for name, node in plan.encoders.items():
        if not _reads_a_folder(node.config):
            yield f"encoders.{name}.", node, ()
    for name, fuser in plan.fusers.items():
        yield f"fusers.{name}.", fuser, (dict(fuser.inputs),)
    if not _reads_a_folder(plan.llm.config):
        yield "llm.", plan.llm, ()


def _reads_a_folder(config: Any) -> bool:
    return getattr(config, "init", "random") == "pretrained" or getattr(config, "checkpoint", None) is not None


@contextmanager
def _bounded(most: int, tensors: int) -> Iterator[list[str]]:
    """Raise _TooLarge as soon as the modules that are built hold more than `most` numbers or `tensors` tensors.

    Yields what was exceeded, empty until then.
    """
    numbers = count = 0
    excess: list[str] = []

    def add(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal numbers, count
        if tensor is not None:
            numbers, count = numbers + tensor.numel(), count + 1
        if numbers > most or count > tensors:
            excess.append(f"more than {most:,} numbers" if numbers > most else f"more than {tensors:,} tensors")
            raise _TooLarge

    handles = [register_module_parameter_registration_hook(add), register_module_buffer_registration_hook(add)]
    try:
        yield excess
    finally:
        for handle in handles:
            handle.remove()


def _misfits(prefix: str, module: nn.Module, stored: Mapping[str, tuple[int, ...]], where: Path) -> list[Problem]:
    state = {f"{prefix}{name}": tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    return [
        Problem(f"{name} has the wrong form", str(where), str(list(shape)), str(list(state[name])))
        for name, shape in stored.items()
        if name in state and state[name] != shape
    ]


def _numel(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
