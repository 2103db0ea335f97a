"""Parameter groups of the optimizer: trained parameters by part of the pipeline and by weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from affectgpt.core.config import TrainingConfig
from affectgpt.registry.errors import ConfigError, Problem
from affectgpt.registry.messages import did_you_mean


def parameter_groups(pipeline: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """Group trained parameters: matrices decay, vectors (biases, norms) do not; parts may have their own rate.

    A part of `training.rates` is the beginning of a parameter's dotted name; the longest that fits counts. Each
    group's `scale` is its share of the scheduled rate. Raises ConfigError when nothing is trained, and when a part
    holds nothing that is.
    """
    trained = {name: parameter for name, parameter in pipeline.named_parameters() if parameter.requires_grad}
    if not trained:
        raise ConfigError(
            "nothing is trained: every part is frozen",
            where="training",
            hint="set `frozen: false` somewhere, or give the LLM a lora",
        )
    _check_rates(config.rates, trained)
    groups = []
    for part in (None, *config.rates):
        chosen = [parameter for name, parameter in trained.items() if _part_of(name, config.rates) == part]
        scale = 1.0 if part is None else config.rates[part] / config.lr
        matrices, vectors = (
            [parameter for parameter in chosen if parameter.ndim >= 2],
            [parameter for parameter in chosen if parameter.ndim < 2],
        )
        groups.append({"params": matrices, "weight_decay": config.weight_decay, "scale": scale})
        groups.append({"params": vectors, "weight_decay": 0.0, "scale": scale})
    return [group for group in groups if group["params"]]


def _part_of(name: str, parts: Iterable[str]) -> str | None:
    fitting = [part for part in parts if f"{name}.".startswith(f"{part}.")]
    return max(fitting, key=len, default=None)


def _check_rates(parts: Iterable[str], trained: Iterable[str]) -> None:
    prefixes = {prefix for name in trained for prefix in _prefixes(name)}
    short = sorted(prefix for prefix in prefixes if prefix.count(".") <= 1)
    problems = [
        Problem(
            "this part holds no trained parameter",
            f"training.rates.{part}",
            expected=f"one of {', '.join(short)}",
            hint=did_you_mean(part, prefixes) or f"remove it (training.rates.{part}=null), or do not freeze this part",
        )
        for part in parts
        if part not in prefixes
    ]
    if problems:
        raise ConfigError.from_problems(problems)


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
