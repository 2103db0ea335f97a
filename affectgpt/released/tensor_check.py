"""Whether the tensors of a checkpoint are those that its config and the three models call for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.plan import Plan
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import first_of
from affectgpt.released.checkpoint_config import BRANCHES, Facts
from affectgpt.released.pipeline_file import Bert
from affectgpt.released.tensor_names import LLM, PROJECTORS, Name, Sizes, frozen_place


def refuse_other_fusion(model: Mapping[str, Tensor], facts: Facts, where: str) -> None:
    """Raise CheckpointError when the tensors are those of another fusion than the config says."""
    for branch in BRANCHES:
        said, found = facts.fusions[branch], _fusion_of(model, branch)
        if found != said:
            raise CheckpointError(
                f"the fusion of {branch} is another than the checkpoint's config says",
                where=where,
                found=f"the tensors of {found!r}",
                expected=f"those of {branch}_fusion_type {said!r}",
                hint="the file's parts belong to different runs",
            )


def _fusion_of(model: Mapping[str, Tensor], branch: str) -> str:
    if any(name.startswith(f"{branch}_Qformer.") for name in model):
        return "qformer"
    scored = "attention_mlp." if branch == "multi" else f"{branch}_attention_mlp."
    return "attention" if any(name.startswith(scored) for name in model) or branch == "multi" else "mean"


def measured(model: Mapping[str, Tensor], facts: Facts, bert: Bert) -> Sizes:
    """The widths that most tensors agree on; 0 where none tells."""
    projectors = [(f"{name}.weight", branch) for branch, name in PROJECTORS.items()]
    joined = [(name, 1) for name, branch in projectors if facts.fusions[branch] == "qformer"]
    return Sizes(
        video=_most([("multi_video_embs.weight", 1), ("image_llama_proj.weight", 1)], model),
        audio=_most([("multi_audio_embs.weight", 1), ("audio_attention_mlp.weight", 1)], model),
        llm=_most([*((name, 0) for name, _ in projectors), ("image_llama_proj.weight", 0)], model),
        qformer=_most(joined, model, bert.hidden),
        qformer_wide=bert.wide,
    )


def refuse_other_widths(sizes: Sizes, plan: Plan, bert: Bert, where: str) -> None:
    """Raise CheckpointError unless the `sizes` of a checkpoint are those of the planned models."""
    planned = [
        ("language model", sizes.llm, plan.llm.output.dim, plan.llm.config.model, "--llm"),
        ("Q-Former's BERT", sizes.qformer, bert.hidden, f"the BERT with {bert.heads} heads", "--bert"),
    ]
    for stream, option in (("face", "--vision"), ("frame", "--vision"), ("audio", "--speech")):
        node, size = plan.encoders.get(stream), sizes.audio if stream == "audio" else sizes.video
        if node is not None:
            planned.append((f"{stream} encoder", size, node.output.dim, node.config.model, option))
    problems = [
        Problem(
            f"the {what} of this checkpoint has another width",
            where,
            f"{size} in the checkpoint",
            f"{width}, the width of {model}",
            f"name the right one with {option}",
        )
        for what, size, width, model, option in planned
        if size not in (width, 0)
    ]
    if problems:
        raise CheckpointError.of(problems)


def _most(places: list[tuple[str, int]], model: Mapping[str, Tensor], default: int = 0) -> int:
    """The size that most of the named tensors have at their place; `default` when none is there."""
    found = Counter(model[name].shape[at] for name, at in places if name in model and model[name].ndim == 2)
    return found.most_common(1)[0][0] if found else default


def refuse_misfits(model: Mapping[str, Tensor], names: Mapping[str, Name], facts: Facts, where: str) -> None:
    """Raise CheckpointError naming what is missing, unexpected, of another shape or dtype, or not finite."""
    missing = [name for name, each in names.items() if name not in model and each.shape is not None]
    extra = [name for name in model if name not in names and frozen_place(name) is None]
    problems = []
    if missing:
        problems.append(
            Problem(
                "tensors are missing from the checkpoint",
                where,
                first_of(missing),
                f"{len(names)} in all",
                "a checkpoint of a model with frozen parts lacks them: convert the one that holds all",
            )
        )
    if extra:
        problems.append(
            Problem(
                "the checkpoint holds tensors that do not belong to such a model",
                where,
                first_of(extra),
                hint="was it made by a changed version of the original's code?",
            )
        )
    problems += _forms(model, names, facts, where)
    if problems:
        raise CheckpointError.of(problems)
    wrong = [name for name, tensor in model.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise CheckpointError(
            "tensors of the checkpoint hold values that are not finite",
            where=where,
            found=first_of(wrong),
            hint="the training that made it failed: take an earlier checkpoint",
        )


def _forms(model: Mapping[str, Tensor], names: Mapping[str, Name], facts: Facts, where: str) -> list[Problem]:
    shapes, dtypes, ranks = [], [], set()
    for name, each in names.items():
        tensor = model.get(name)
        if tensor is None:
            continue
        if each.shape is not None and tuple(tensor.shape) != each.shape:
            shapes.append((name, list(tensor.shape), list(each.shape)))
            if name.startswith(LLM) and tensor.ndim == 2:
                ranks.add(tensor.shape["lora_B" in name])
        wanted = torch.int64 if name.endswith("position_ids") else torch.float32
        if tensor.dtype != wanted:
            dtypes.append(f"{name} {tensor.dtype}, not {wanted}")
    problems = []
    adapters = [name for name in names if name.startswith(LLM)]
    if len(ranks) == 1 and len(shapes) == len(adapters) and ranks != {facts.lora_rank}:
        problems.append(
            Problem(
                "the adapter has another rank than the checkpoint's config says",
                where,
                f"{ranks.pop()}",
                f"{facts.lora_rank}" + (", the original's default" if facts.lora_rank == 16 else ""),
            )
        )
    elif shapes:
        told = [f"{name} {found}, not {wanted}" for name, found, wanted in shapes]
        problems.append(
            Problem(
                "tensors of the checkpoint have another shape",
                where,
                first_of(told, "; "),
                hint="are --llm, --vision and --speech the models that it was trained with?",
            )
        )
    if dtypes:
        problems.append(
            Problem(
                "tensors of the checkpoint have another type",
                where,
                first_of(dtypes, "; "),
                hint="the original stores float32: take the file that it wrote",
            )
        )
    return problems


def tied_to(model: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str) -> dict[str, tuple[str, ...]]:
    """The frozen tensors in `model` -> the pipeline's own tensors (of `state`) that they are equal to.

    Without one that has its name, the tuple is empty. Raises CheckpointError when one differs, but for rounding to
    the type that either is held in.
    """
    found: dict[str, tuple[str, ...]] = {}
    wrong = []
    for name, tensor in model.items():
        places = frozen_place(name)
        if places is None:
            continue
        # Without an adapter on it, a layer has no base_layer.
        own = tuple(place for place in places if place in state)
        found[name] = own
        wrong += [name for place in own if not _equal(tensor, state[place])]
    if wrong:
        raise CheckpointError(
            "frozen tensors in the checkpoint differ from those of the model folders",
            where=where,
            found=first_of(wrong),
            hint="are --llm, --vision and --speech the models that it was trained with?",
        )
    return found


def _equal(theirs: Tensor, ours: Tensor) -> bool:
    ours = ours.detach().cpu()
    if theirs.shape != ours.shape:
        return False
    return torch.equal(theirs.to(ours.dtype), ours) or torch.equal(ours.to(theirs.dtype), theirs)


def llm_values(plan: Plan) -> Mapping[str, Any]:
    """The values of the planned LLM's config.json. Raises CheckpointError for another kind than the original's."""
    values: Mapping[str, Any] = plan.llm.config.values()
    if values.get("model_type") != "qwen2":
        raise CheckpointError(
            "this language model is of another kind than the original's",
            where=str(plan.llm.config.model),
            found=f"model_type {values.get('model_type')!r}",
            expected="'qwen2' (Qwen2.5)",
            hint="see --llm",
        )
    return values
