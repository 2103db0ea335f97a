"""A saved model as the beginning of another training, with changes to its config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from affectgpt.core.config import PipelineConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.config import load_saved_config
from affectgpt.core.saved.extras import check_extras
from affectgpt.core.saved.model import WEIGHTS, load_adapter, read_saved, tensors_to_save
from affectgpt.core.saved.tensors import copy_into
from affectgpt.registry.catalog import Catalog


@dataclass(frozen=True)
class InitialModel:
    """The plan of another training, and what the saved model in `folder` holds: its `tensors` and own config."""

    folder: Path
    plan: Plan
    tensors: dict[str, Tensor]
    before: PipelineConfig

    def fill(self, pipeline: Pipeline) -> None:
        """Give `pipeline`, built of the plan, the saved model's weights.

        A part that was frozen, and whose weights a model folder holds, is as that folder has it; an adapter that the
        saved model lacks begins anew. Raises CheckpointError as [load][] for all else that does not fit, also for a
        part that was trained there and is frozen now: it would not be saved.
        """
        adapted = pipeline.llm.adapter() is not None
        if not adapted:
            load_adapter(pipeline, self.folder)
        own, stored = tensors_to_save(pipeline), self.tensors
        fresh = adapted and getattr(self.before.llm.config, "lora", None) is None
        if fresh:
            # PEFT calls a layer so that it has put an adapter on.
            names = {name.replace(".base_layer.", "."): name for name in own}
            stored = {names.get(name, name): tensor for name, tensor in stored.items()}
        elsewhere = tuple(f"{name}." for name in self._in_model_folders(pipeline))
        wanted = {name: each for name, each in own.items() if name in stored or not name.startswith(elsewhere)}
        copy_into(wanted, stored, str(self.folder / WEIGHTS))
        if adapted and not fresh:
            load_adapter(pipeline, self.folder)

    def _in_model_folders(self, pipeline: Pipeline) -> list[str]:
        encoders = [
            f"encoders.{name}"
            for name, module in pipeline.encoders.items()
            if module.pretrained and name in self.before.encoders and self.before.encoders[name].config.frozen
        ]
        llm = pipeline.llm.pretrained and getattr(self.before.llm.config, "frozen", False)
        return [*encoders, "llm"] if llm else encoders


def read_initial_model(
    folder: Path, catalog: Catalog, changes: Sequence[str] = (), *, allow_pickle: bool = False
) -> InitialModel:
    """The saved model in `folder`, with `changes` to its config as in [read_config][]. Raises as [load][]."""
    plan, tensors = read_saved(folder, catalog, changes, allow_pickle=allow_pickle)
    check_extras(folder)
    before = load_saved_config(folder, catalog)
    return InitialModel(folder, plan, tensors, before)
