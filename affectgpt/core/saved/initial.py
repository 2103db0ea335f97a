"""A saved model as the start of a training, with changes to its config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from affectgpt.core.config import PipelineConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.config import WEIGHTS, load_saved_config
from affectgpt.core.saved.extras import check_extras
from affectgpt.core.saved.model import load_adapter, read_saved, tensors_to_save
from affectgpt.core.saved.tensors import copy_into
from affectgpt.registry.catalog import Catalog


@dataclass(frozen=True)
class InitialModel:
    """The plan of a training, and the saved model in `folder` that it starts from: its `tensors` and its config."""

    folder: Path
    plan: Plan
    tensors: dict[str, Tensor]
    saved_config: PipelineConfig

    def load_weights(self, pipeline: Pipeline) -> None:
        """Copy the saved model's weights into `pipeline`, which was built from the plan.

        A part that was frozen and read from a model folder keeps that folder's weights; an adapter that the saved model
        lacks keeps its new weights. Raises CheckpointError as [load][] for everything else that does not fit, also for
        a part that was trained in the saved model and is frozen now: its weights would not be saved.
        """
        adapted = pipeline.llm.adapter() is not None
        if not adapted:
            load_adapter(pipeline, self.folder)
        current, stored = tensors_to_save(pipeline), self.tensors
        fresh = adapted and getattr(self.saved_config.llm.config, "lora", None) is None
        if fresh:
            # PEFT calls a layer so that it has put an adapter on.
            names = {name.replace(".base_layer.", "."): name for name in current}
            stored = {names.get(name, name): tensor for name, tensor in stored.items()}
        elsewhere = tuple(f"{name}." for name in self._parts_from_folders(pipeline))
        targets = {name: tensor for name, tensor in current.items() if name in stored or not name.startswith(elsewhere)}
        copy_into(targets, stored, str(self.folder / WEIGHTS))
        if adapted and not fresh:
            load_adapter(pipeline, self.folder)

    def _parts_from_folders(self, pipeline: Pipeline) -> list[str]:
        encoders = [
            f"encoders.{name}"
            for name, module in pipeline.encoders.items()
            if module.pretrained
            and name in self.saved_config.encoders
            and self.saved_config.encoders[name].config.frozen
        ]
        llm = pipeline.llm.pretrained and getattr(self.saved_config.llm.config, "frozen", False)
        return [*encoders, "llm"] if llm else encoders


def read_initial_model(
    folder: Path, catalog: Catalog, changes: Sequence[str] = (), *, allow_pickle: bool = False
) -> InitialModel:
    """The saved model in `folder`, with `changes` to its config as in [read_config][]. Raises as [load][]."""
    plan, tensors = read_saved(folder, catalog, changes, allow_pickle=allow_pickle)
    check_extras(folder)
    saved_config = load_saved_config(folder, catalog)
    return InitialModel(folder, plan, tensors, saved_config)
