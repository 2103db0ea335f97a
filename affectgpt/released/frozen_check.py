"""Whether the frozen tensors in a checkpoint are tensors of the three models at all, by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.plan import Plan
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import count_and_first
from affectgpt.released.tensor_names import LLM

VISION, SPEECH = "visual_encoder.model.", "acoustic_encoder.model."
_WHOLE = ".modules_to_save."
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""A convolution's normed weight, as older and newer versions of torch call its two parts."""


def check_frozen_tensors(model: Mapping[str, Tensor], plan: Plan, where: str) -> None:
    """Raise CheckpointError when `model` holds a frozen tensor that the planned models lack, or of another shape.

    Tensors of an encoder that the plan has none of cannot be told and are let pass. No weights are read.
    """
    unadapted = [name for name in model if _WHOLE in name]
    if unadapted:
        raise CheckpointError(
            "the checkpoint holds modules that were trained whole beside the adapter (modules_to_save)",
            where=where,
            found=count_and_first(unadapted),
            hint="the released AffectGPT trains none: such a model cannot be converted",
        )
    strange, misshapen = [], []
    for prefix, config, argument in _parts(plan):
        frozen = {name: tensor for name, tensor in model.items() if name.startswith(prefix) and ".lora_" not in name}
        if not frozen:
            continue
        shapes = _shapes(config, causal=prefix == LLM)
        for name, tensor in frozen.items():
            shape = shapes.get(_plain(name.removeprefix(prefix), shapes))
            if shape is None:
                strange.append(f"{name} ({argument})")
            elif tuple(tensor.shape) != shape:
                misshapen.append(f"{name} {list(tensor.shape)}, not {list(shape)} ({argument})")
    hint = "are llm=, vision= and speech= the models that it was trained with?"
    problems = [
        Problem(what, where, count_and_first(examples, "; "), hint=hint)
        for what, examples in (
            ("the checkpoint holds frozen tensors that the model folders do not have", strange),
            ("frozen tensors of the checkpoint have another shape", misshapen),
        )
        if examples
    ]
    if problems:
        raise CheckpointError.from_problems(problems)


def _parts(plan: Plan) -> list[tuple[str, Mapping[str, Any], str]]:
    llm: Any = plan.llm.config
    parts = [(LLM, llm.values(), "llm")]
    for prefix, streams, argument in ((VISION, ("face", "frame"), "vision"), (SPEECH, ("audio",), "speech")):
        configs: list[Any] = [plan.encoders[name].config for name in streams if name in plan.encoders]
        parts += [(prefix, config.model_values(), argument) for config in configs[:1]]
    return parts


def _shapes(values: Mapping[str, Any], *, causal: bool) -> dict[str, tuple[int, ...]]:
    """The tensors of a model with this config.json, its weights not made."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    kind: Any = AutoModelForCausalLM if causal else AutoModel  # has no annotations
    excluded = ("model_type", "auto_map", "transformers_version")
    try:
        options = {key: value for key, value in values.items() if key not in excluded}
        with torch.device("meta"):
            model = kind.from_config(AutoConfig.for_model(values["model_type"], **options), trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(
            "frozen tensors of the checkpoint cannot be compared: the model's config.json is of no known model",
            where=str(values.get("model_type")),
            found=str(error)[:120],
        ) from None
    every = {**model.state_dict(), **dict(model.named_buffers())}
    return {name: tuple(tensor.shape) for name, tensor in every.items()}


def _plain(name: str, shapes: Mapping[str, Any]) -> str:
    """A tensor's name without what an adapter or an older version of torch adds to it."""
    name = name.replace(".base_layer.", ".")
    stem, _, last = name.rpartition(".")
    return name if name in shapes or last not in _WEIGHT_NORM else f"{stem}.{_WEIGHT_NORM[last]}"
