"""Check the tensors of a checkpoint against its config and the three models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.plan import Plan
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import count_and_first
from affectgpt.released.checkpoint_config import BRANCHES, CheckpointConfig
from affectgpt.released.pipeline_file import BertSizes
from affectgpt.released.tensor_names import LLM, PROJECTORS, Sizes, TensorName, frozen_targets


def check_fusion(model: Mapping[str, Tensor], facts: CheckpointConfig, where: str) -> None:
    """Raise CheckpointError when the tensors do not belong to the fusion that the config names."""
    for branch in BRANCHES:
        expected, actual = facts.fusions[branch], _fusion_of(model, branch)
        if actual != expected:
            raise CheckpointError(
                f"the fusion of {branch} is not the one in the checkpoint's config",
                where=where,
                found=f"the tensors of {actual!r}",
                expected=f"those of {branch}_fusion_type {expected!r}",
                hint="the file's parts belong to different runs",
            )


def _fusion_of(model: Mapping[str, Tensor], branch: str) -> str:
    if any(name.startswith(f"{branch}_Qformer.") for name in model):
        return "qformer"
    scored = "attention_mlp." if branch == "multi" else f"{branch}_attention_mlp."
    return "attention" if any(name.startswith(scored) for name in model) or branch == "multi" else "mean"


def measure_widths(model: Mapping[str, Tensor], facts: CheckpointConfig, bert: BertSizes) -> Sizes:
    """The widths that most tensors have; 0 where no tensor tells."""
    projectors = [(f"{name}.weight", branch) for branch, name in PROJECTORS.items()]
    joined = [(name, 1) for name, branch in projectors if facts.fusions[branch] == "qformer"]
    return Sizes(
        video=_most_common_size([("multi_video_embs.weight", 1), ("image_llama_proj.weight", 1)], model),
        audio=_most_common_size([("multi_audio_embs.weight", 1), ("audio_attention_mlp.weight", 1)], model),
        llm=_most_common_size([*((name, 0) for name, _ in projectors), ("image_llama_proj.weight", 0)], model),
        qformer=_most_common_size(joined, model, bert.hidden),
        qformer_wide=bert.wide,
    )


def check_widths(sizes: Sizes, plan: Plan, bert: BertSizes, where: str) -> None:
    """Raise CheckpointError unless the `sizes` of a checkpoint are those of the planned models."""
    llm_config: Any = plan.llm.config
    planned = [
        ("language model", sizes.llm, plan.llm.output.dim, llm_config.model, "llm"),
        ("Q-Former's BERT", sizes.qformer, bert.hidden, f"the BERT with {bert.heads} heads", "bert"),
    ]
    for stream, argument in (("face", "vision"), ("frame", "vision"), ("audio", "speech")):
        node, size = plan.encoders.get(stream), sizes.audio if stream == "audio" else sizes.video
        if node is not None:
            config: Any = node.config
            planned.append((f"{stream} encoder", size, node.output.dim, config.model, argument))
    problems = [
        Problem(
            f"the {what} of this checkpoint has another width",
            where,
            f"{size} in the checkpoint",
            f"{width}, the width of {model}",
            f"name the right one with {argument}=",
        )
        for what, size, width, model, argument in planned
        if size not in (width, 0)
    ]
    if problems:
        raise CheckpointError.from_problems(problems)


def _most_common_size(dimensions: list[tuple[str, int]], model: Mapping[str, Tensor], default: int = 0) -> int:
    """The most common size of the named tensors at their dimension; `default` when there is none."""
    sizes = Counter(model[name].shape[at] for name, at in dimensions if name in model and model[name].ndim == 2)
    return sizes.most_common(1)[0][0] if sizes else default


def check_shapes(
    model: Mapping[str, Tensor], names: Mapping[str, TensorName], facts: CheckpointConfig, where: str
) -> None:
    """Raise CheckpointError naming what is missing, unexpected, of another shape or dtype, or not finite."""
    missing = [name for name, tensor_name in names.items() if name not in model and tensor_name.shape is not None]
    extra = [name for name in model if name not in names and frozen_targets(name) is None]
    problems = []
    if missing:
        problems.append(
            Problem(
                "tensors are missing from the checkpoint",
                where,
                count_and_first(missing),
                f"{len(names)} in all",
                "a checkpoint of a model with frozen parts lacks them: convert the one that holds all",
            )
        )
    if extra:
        problems.append(
            Problem(
                "the checkpoint holds tensors that do not belong to such a model",
                where,
                count_and_first(extra),
                hint="was it made by a changed version of the original's code?",
            )
        )
    problems += _form_problems(model, names, facts, where)
    if problems:
        raise CheckpointError.from_problems(problems)
    wrong = [name for name, tensor in model.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise CheckpointError(
            "tensors of the checkpoint hold values that are not finite",
            where=where,
            found=count_and_first(wrong),
            hint="the training that made it failed: take an earlier checkpoint",
        )


def _form_problems(
    model: Mapping[str, Tensor], names: Mapping[str, TensorName], facts: CheckpointConfig, where: str
) -> list[Problem]:
    shapes, dtypes, ranks = [], [], set()
    for name, tensor_name in names.items():
        tensor = model.get(name)
        if tensor is None:
            continue
        if tensor_name.shape is not None and tuple(tensor.shape) != tensor_name.shape:
            shapes.append((name, list(tensor.shape), list(tensor_name.shape)))
            if name.startswith(LLM) and tensor.ndim == 2:
                ranks.add(tensor.shape["lora_B" in name])
        expected = torch.int64 if name.endswith("position_ids") else torch.float32
        if tensor.dtype != expected:
            dtypes.append(f"{name} {tensor.dtype}, not {expected}")
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
        descriptions = [f"{name} {actual}, not {expected}" for name, actual, expected in shapes]
        problems.append(
            Problem(
                "tensors of the checkpoint have another shape",
                where,
                count_and_first(descriptions, "; "),
                hint="are llm=, vision= and speech= the models that it was trained with?",
            )
        )
    if dtypes:
        problems.append(
            Problem(
                "tensors of the checkpoint have another type",
                where,
                count_and_first(dtypes, "; "),
                hint="the original stores float32: take the file that it wrote",
            )
        )
    return problems


def find_tied(model: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str) -> dict[str, tuple[str, ...]]:
    """For each frozen tensor in `model`, the names of the equal tensors in the pipeline's `state`.

    The tuple is empty when no tensor has its name. Raises CheckpointError when one differs by more than the rounding
    to the dtype of either.
    """
    tied: dict[str, tuple[str, ...]] = {}
    wrong = []
    for name, tensor in model.items():
        tensor_names = frozen_targets(name)
        if tensor_names is None:
            continue
        # Without an adapter on it, a layer has no base_layer.
        present_names = tuple(tensor_name for tensor_name in tensor_names if tensor_name in state)
        tied[name] = present_names
        wrong += [name for tensor_name in present_names if not _equal(tensor, state[tensor_name])]
    if wrong:
        raise CheckpointError(
            "frozen tensors in the checkpoint differ from those of the model folders",
            where=where,
            found=count_and_first(wrong),
            hint="are llm=, vision= and speech= the models that it was trained with?",
        )
    return tied


def _equal(first: Tensor, second: Tensor) -> bool:
    second = second.detach().cpu()
    if first.shape != second.shape:
        return False
    return torch.equal(first.to(second.dtype), second) or torch.equal(second.to(first.dtype), first)


def llm_values(plan: Plan) -> Mapping[str, Any]:
    """The values of the planned LLM's config.json. Raises CheckpointError for another kind than the original's."""
    config: Any = plan.llm.config
    values: Mapping[str, Any] = config.values()
    if values.get("model_type") != "qwen2":
        raise CheckpointError(
            "this language model is of another kind than the original's",
            where=str(config.model),
            found=f"model_type {values.get('model_type')!r}",
            expected="'qwen2' (Qwen2.5)",
            hint="choose one with llm=",
        )
    return values
