"""The metadata at the head of a model card, in the fields of the Hub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from affectgpt.core.config import PipelineConfig
from affectgpt.hub.names import is_named
from affectgpt.unibench.report import figures
from affectgpt.unibench.report.plain_text import label, safe_text
from affectgpt.unibench.result import BenchmarkResult

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData


def card_data(config: PipelineConfig, name: str, result: BenchmarkResult | None) -> ModelCardData:
    """The metadata of the card: library, task, base models and scores. The licence is unknown and left out."""
    from huggingface_hub import ModelCardData

    streams: set[str] = {node.config.input for node in config.encoders.values()}
    scores = _eval_results(result, _task(streams)) if result is not None else []
    fields: dict[str, Any] = {"library_name": "affectgpt", "tags": ["affectgpt"], "pipeline_tag": _task(streams)}
    if base := [each for each in models_read(config).values() if is_named(each) and not is_local(each)]:
        fields["base_model"] = list(dict.fromkeys(base))
    if scores:
        fields |= {"model_name": name, "eval_results": scores}
    return ModelCardData(**fields)


def models_read(config: PipelineConfig) -> dict[str, str]:
    """For each encoder and the LLM (`llm`), the model that its weights come from. Nodes without one are left out."""
    nodes = {name: node.config for name, node in config.encoders.items()} | {"llm": config.llm.config}
    models = {
        name: getattr(config, "model", None)
        for name, config in nodes.items()
        if getattr(config, "init", "pretrained") == "pretrained"
    }
    return {name: model for name, model in models.items() if isinstance(model, str)}


def local_models(config: PipelineConfig) -> dict[str, str]:
    """The models of [models_read][] that are local folders, which nobody else can load."""
    return {name: model for name, model in models_read(config).items() if is_local(model)}


def is_local(model: str) -> bool:
    """Whether `model` is a local folder and not a name on the Hub."""
    path = model.startswith((".", "~")) or "\\" in model or ("/" in model and ":" not in model)
    return os.path.isdir(model) or (path and not is_named(model))


def _task(streams: set[str]) -> str:
    return "audio-text-to-text" if streams <= {"audio", "sound"} else "video-text-to-text"


def _eval_results(result: BenchmarkResult, task: str) -> list[Any]:
    from huggingface_hub import EvalResult

    rows = []
    for score in result.datasets:
        figure = score.figures.get(score.primary)
        if figure is not None and figure.value is not None:
            rows.append(
                EvalResult(
                    task_type=task,
                    task_name=safe_text(score.task, 60),
                    dataset_type=label(score.dataset),
                    dataset_name=label(score.title),
                    metric_type=label(score.primary),
                    metric_name=f"{figures.title(score.primary)} x 100",
                    metric_value=round(100 * figure.value, 4),
                )
            )
    return rows
