"""The encoders of a pipeline by themselves, with weights that no longer change, and what they give of each clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.assembly import build_encoders
from affectgpt.core.node_modules import NodeModules
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.model import WEIGHTS, read_saved
from affectgpt.core.saved.tensors import fill
from affectgpt.core.tokens import Prepared, Tokens, stack
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, PluginError, Problem, listed
from affectgpt.registry.suggest import did_you_mean

Feature = tuple[Tensor, Tensor]
"""Values `[T, D]` float and times `[T]` float32 of the tokens that one encoder gave of one clip."""


@dataclass(frozen=True, eq=False)
class FixedEncoders:
    """`modules` by node name, in evaluation mode, and the plan that they belong to."""

    plan: Plan
    modules: NodeModules

    def prepare(self, clip: Any) -> dict[str, Prepared | None]:
        """What each encoder needs of an open clip; None for a stream that the clip lacks. Runs on the CPU."""
        return {name: module.prepare(clip) for name, module in self.modules.items()}  # type: ignore[operator]

    @torch.no_grad()
    def encode(self, media: Sequence[Mapping[str, Prepared | None]], device: str) -> list[dict[str, Feature | None]]:
        """The features of each clip, on the CPU; None where the clip lacks the stream, or nothing is heard or seen.

        An encoder that reads the whole batch is given one clip at a time. Raises PluginError when an encoder gives
        tokens without times.
        """
        rows: list[dict[str, Feature | None]] = [dict.fromkeys(self.modules) for _ in media]
        for name in self.modules:
            there = [index for index, each in enumerate(media) if each[name] is not None]
            alone = self.plan.encoders[name].config.reads_whole_batch()
            for some in [[index] for index in there] if alone else [there] if there else []:
                features = self._features(name, [media[index][name] for index in some], device)
                for index, feature in zip(some, features, strict=True):
                    rows[index][name] = feature
        return rows

    def _features(self, name: str, media: Sequence[Prepared | None], device: str) -> list[Feature | None]:
        batch = stack(media)
        assert batch is not None
        tokens: Tokens = self.modules[name](batch.to(device))
        if tokens.times is None:
            raise PluginError(
                "this encoder does not say when its tokens are: they cannot be kept",
                where=name,
                hint="leave it out with --encoders, or let it give times",
            )
        features: list[Feature | None] = []
        for values, times, real in zip(tokens.values, tokens.times, tokens.valid(), strict=True):
            kept = (values[real].cpu(), times[real].float().cpu())
            features.append(kept if bool(real.any()) else None)
        return features


def frozen_encoders(
    plan: Plan, catalog: Catalog, names: Collection[str] | None = None, on_node: Callable[[str], None] | None = None
) -> FixedEncoders:
    """The encoders that a config says are frozen, as [affectgpt.core.assembly.assemble][] builds them.

    Raises ConfigError when one of `names` (None: all) is no encoder of the plan or is not frozen.
    """
    chosen = _chosen(plan, names)
    _check_frozen(plan, chosen)
    return _fixed(plan, build_encoders(plan, catalog, on_node), chosen)


def built_encoders(pipeline: Pipeline, names: Collection[str] | None = None) -> FixedEncoders:
    """The encoders of a pipeline that its config says are frozen, as they are. Raises as [frozen_encoders][]."""
    chosen = _chosen(pipeline.plan, names)
    _check_frozen(pipeline.plan, chosen)
    return _fixed(pipeline.plan, pipeline.encoders, chosen)


def saved_encoders(
    folder: Path,
    catalog: Catalog,
    names: Collection[str] | None = None,
    on_node: Callable[[str], None] | None = None,
    *,
    allow_pickle: bool = False,
) -> FixedEncoders:
    """The encoders of a saved model, whether they were trained or not; its language model is not loaded.

    Raises as [affectgpt.core.saved.model.load][], and ConfigError for an encoder whose weights were read from a model
    folder and then trained: a pipeline in which it is frozen would read the folder's.
    """
    plan, tensors = read_saved(folder, catalog, allow_pickle=allow_pickle)
    chosen = _chosen(plan, names)
    built = build_encoders(plan, catalog, on_node)
    for name in chosen:
        prefix = f"encoders.{name}."
        stored = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if built[name].pretrained and not plan.encoders[name].config.frozen:
            raise ConfigError(
                "this encoder was trained on from a model folder, and cannot be frozen as it is now",
                where=f"{folder}: encoders.{name}",
                hint="choose others with --encoders",
            )
        own = {} if built[name].pretrained else built[name].state_dict(prefix=prefix)
        fill(own, stored, str(folder / WEIGHTS))
    return _fixed(plan, built, chosen)


def _chosen(plan: Plan, names: Collection[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - plan.encoders.keys())
    if unknown:
        raise ConfigError(
            f"there is no encoder {unknown[0]!r}",
            where="--encoders",
            expected=f"any of {listed(plan.encoders)}",
            hint=did_you_mean(unknown[0], plan.encoders),
        )
    return [name for name in plan.encoders if names is None or name in names]


def _check_frozen(plan: Plan, chosen: Collection[str]) -> None:
    trained = [name for name in chosen if not plan.encoders[name].config.frozen]
    if trained:
        raise ConfigError.of(
            [
                Problem(
                    "this encoder is trained: what it gives changes with every step",
                    where=f"encoders.{name}.frozen",
                    found="frozen: false",
                    expected="frozen: true",
                    hint=f"--set encoders.{name}.frozen=true keeps its weights as they are, --encoders chooses others, "
                    "--model takes those of a trained model",
                )
                for name in trained
            ]
        )


def _fixed(plan: Plan, built: NodeModules, chosen: Collection[str]) -> FixedEncoders:
    chosen_ones = NodeModules({name: built[name].requires_grad_(False) for name in chosen})
    return FixedEncoders(plan, chosen_ones.eval())
