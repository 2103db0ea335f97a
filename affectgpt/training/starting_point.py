"""What a training starts from: a plan, and the weights of a saved model or of a pipeline, or new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from affectgpt.core.assembly import assemble, build_encoders
from affectgpt.core.node_modules import NodeModules
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.config import WEIGHTS
from affectgpt.core.saved.initial import InitialModel
from affectgpt.core.saved.model import all_saved_tensors, load, load_adapter, read_adapter, tensors_to_save
from affectgpt.core.saved.tensors import copy_into, read_tensors
from affectgpt.data.feature_cache.keys import tensors_digest
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.registry.catalog import Catalog
from affectgpt.training.random_state import preserve_random_state


@dataclass(frozen=True)
class StartingPoint:
    """A `plan`, and the `saved` model or the `pipeline` whose weights are trained further (neither: new weights)."""

    plan: Plan
    catalog: Catalog
    saved: InitialModel | None = None
    pipeline: Pipeline | None = None

    @property
    def folder(self) -> Path | None:
        """The saved model's folder; None without one."""
        return self.saved.folder if self.saved is not None else None

    def digest(self) -> str:
        """A hash of the weights that are trained further; "" when they are new, because they follow from the seed."""
        if self.pipeline is not None:
            return tensors_digest(all_saved_tensors(self.pipeline))
        if self.saved is not None:
            return tensors_digest({**self.saved.tensors, **read_adapter(self.saved.folder)})
        return ""

    def build(self, cache: FeatureCache | None, on_node: Callable[[str], None]) -> Pipeline:
        """The pipeline to be trained; encoders whose features a `cache` holds may be left out of a new one.

        Raises as [assemble][] and [InitialModel.load_weights][], and ConfigError or CheckpointError when the
        features of `cache` were made with other weights.
        """
        if self.pipeline is not None:
            if cache is not None:
                cache.check_weights(self.pipeline)
            self.pipeline.plan = self.plan
            return self.pipeline
        unbuilt = cache.unbuilt if cache is not None else ()
        pipeline = assemble(self.plan, on_node, skip_encoders=unbuilt)
        if self.saved is not None:
            self.saved.load_weights(pipeline)
        if cache is not None:
            (cache.load_weights if self.saved is None else cache.check_weights)(pipeline)
        return pipeline

    def complete(self, pipeline: Pipeline) -> Pipeline:
        """`pipeline` with the encoders that [StartingPoint.build][] left out, so that it reads clips that are files."""
        built = dict(pipeline.encoders.items())
        if built.keys() != self.plan.encoders.keys():
            with preserve_random_state():
                missing = build_encoders(self.plan, skip_encoders=built.keys())
            every = {**built, **dict(missing.eval().items())}
            pipeline.encoders = NodeModules({name: every[name] for name in self.plan.encoders}).to(pipeline.device)
        return pipeline

    def load_finished(self, model: Path) -> Pipeline:
        """The pipeline that a finished run saved in `model`; a `pipeline` to be trained in place takes its weights."""
        if self.pipeline is None:
            # The run's settings were compared with those of this call, which name the folders with pickles.
            with preserve_random_state():
                return load(model, self.catalog, allow_pickle=True)
        copy_into(tensors_to_save(self.pipeline), read_tensors(model / WEIGHTS), str(model / WEIGHTS))
        load_adapter(self.pipeline, model)
        self.pipeline.plan = self.plan
        return self.pipeline.eval()
