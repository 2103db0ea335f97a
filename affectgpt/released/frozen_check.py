"""Whether the frozen tensors in a checkpoint are tensors of the three models at all, by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.plan import Plan
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import first_of
from affectgpt.released.tensor_names import LLM

VISION, SPEECH = "visual_encoder.model.", "acoustic_encoder.model."
_WHOLE = ".modules_to_save."
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""A convolution's normed weight, as older and newer versions of torch call its two parts."""


def refuse_strange_frozen(model: Mapping[str, Tensor], plan: Plan, where: str) -> None:
    """Raise CheckpointError when `model` holds a frozen tensor that the planned models lack, or of another shape.

    Tensors of an encoder that the plan has none of cannot be told and are let pass. No weights are read.
    """
    whole = [name for name in model if _WHOLE in name]
    if whole:
        raise CheckpointError(
            "the checkpoint holds modules that were trained whole beside the adapter (modules_to_save)",
            where=where,
            found=first_of(whole),
            hint="the released AffectGPT trains none: such a model cannot be converted",
        )
    strange, other = [], []
    for prefix, config, option in _parts(plan):
        inside = {name: tensor for name, tensor in model.items() if name.startswith(prefix) and ".lora_" not in name}
        if not inside:
            continue
        shapes = _shapes(config, causal=prefix == LLM)
        for name, tensor in inside.items():
            wanted = shapes.get(_plain(name.removeprefix(prefix), shapes))
            if wanted is None:
                strange.append(f"{name} ({option})")
            elif tuple(tensor.shape) != wanted:
                other.append(f"{name} {list(tensor.shape)}, not {list(wanted)} ({option})")
    hint = "are --llm, --vision and --speech the models that it was trained with?"
    problems = [
        Problem(what, where, first_of(found, "; "), hint=hint)
        for what, found in (
            ("the checkpoint holds frozen tensors that the model folders do not have", strange),
            ("frozen tensors of the checkpoint have another shape", other),
        )
        if found
    ]
    if problems:
        raise CheckpointError.of(problems)


def _parts(plan: Plan) -> list[tuple[str, Mapping[str, Any], str]]:
    found = [(LLM, plan.llm.config.values(), "--llm")]
    for prefix, streams, option in ((VISION, ("face", "frame"), "--vision"), (SPEECH, ("audio",), "--speech")):
        nodes = [plan.encoders[name] for name in streams if name in plan.encoders]
        found += [(prefix, node.config.model_values(), option) for node in nodes[:1]]
    return found


def _shapes(values: Mapping[str, Any], *, causal: bool) -> dict[str, tuple[int, ...]]:
    """The tensors of a model with this config.json, its weights not made."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    kind: Any = AutoModelForCausalLM if causal else AutoModel  # has no annotations
    apart = ("model_type", "auto_map", "transformers_version")
    try:
        given = {key: value for key, value in values.items() if key not in apart}
        with torch.device("meta"):
            made = kind.from_config(AutoConfig.for_model(values["model_type"], **given))
    except Exception as error:
        raise CheckpointError(
            "frozen tensors of the checkpoint cannot be compared: the model's config.json is of no known model",
            where=str(values.get("model_type")),
            found=str(error)[:120],
        ) from None
    every = {**made.state_dict(), **dict(made.named_buffers())}
    return {name: tuple(tensor.shape) for name, tensor in every.items()}


def _plain(name: str, known: Mapping[str, Any]) -> str:
    """A tensor's name without what an adapter or an older version of torch adds to it."""
    name = name.replace(".base_layer.", ".")
    stem, _, last = name.rpartition(".")
    return name if name in known or last not in _WEIGHT_NORM else f"{stem}.{_WEIGHT_NORM[last]}"
