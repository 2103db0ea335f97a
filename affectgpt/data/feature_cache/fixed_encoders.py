"""The frozen encoders of a pipeline, and the features that they compute for each clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.assembly import build_encoders
from affectgpt.core.contracts import READABLE
from affectgpt.core.declared_clip import DeclaredReader
from affectgpt.core.node_modules import NodeModules
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.config import WEIGHTS
from affectgpt.core.saved.model import read_saved
from affectgpt.core.saved.tensors import copy_into
from affectgpt.core.streams import nothing_to_read, prepare_streams
from affectgpt.core.tokens import Prepared, Tokens, stack
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, MediaError, PluginError, Problem, join_names
from affectgpt.registry.messages import did_you_mean

FeatureTensors = tuple[Tensor, Tensor]
"""Values `[T, D]` float and times `[T]` float32 of the tokens that one encoder gave of one clip."""


@dataclass(frozen=True, eq=False)
class FrozenEncoders:
    """`modules` by node name, in evaluation mode, and the plan that they belong to."""

    plan: Plan
    modules: NodeModules

    def reads(self) -> tuple[str, ...]:
        """What of a clip decides the features of these encoders, `media` first: the length and the notes are of it."""
        declared_names = {name for encoder in self.modules for name in self.plan.encoders[encoder].config.reads}
        return tuple(name for name in READABLE if name == "media" or name in declared_names)

    def prepare(self, clip: Any) -> dict[str, Prepared | None]:
        """What each encoder needs of an open clip; None for a stream that the clip lacks. Runs on the CPU.

        Raises PluginError for an encoder that reads what it does not declare, MediaError for a clip without any picture
        or sound.
        """
        readers = {
            name: DeclaredReader(module, name, self.plan.encoders[name].config.reads)
            for name, module in self.modules.items()
        }
        media = prepare_streams(self.plan, readers, clip)
        if all(prepared is None for prepared in media.values()) and clip.is_empty():
            raise MediaError.from_problems([nothing_to_read(self.plan, media, str(clip.path), clip.notes)])
        return media

    @torch.no_grad()
    def encode(
        self, media: Sequence[Mapping[str, Prepared | None]], device: str
    ) -> list[dict[str, FeatureTensors | None]]:
        """The features of each clip, on the CPU; None where the clip lacks the stream, or nothing is heard or seen.

        An encoder that reads the whole batch is given one clip at a time. Raises PluginError when an encoder gives
        tokens without times.
        """
        rows: list[dict[str, FeatureTensors | None]] = [dict.fromkeys(self.modules) for _ in media]
        for name in self.modules:
            present = [index for index, clip_media in enumerate(media) if clip_media[name] is not None]
            one_by_one = self.plan.encoders[name].config.reads_whole_batch()
            for batch in [[index] for index in present] if one_by_one else [present] if present else []:
                features = self._features(name, [media[index][name] for index in batch], device)
                for index, feature in zip(batch, features, strict=True):
                    rows[index][name] = feature
        return rows

    def _features(self, name: str, media: Sequence[Prepared | None], device: str) -> list[FeatureTensors | None]:
        batch = stack(media)
        assert batch is not None
        tokens: Tokens = self.modules[name](batch.to(device))
        if tokens.times is None:
            raise PluginError(
                "this encoder does not say when its tokens are: they cannot be kept",
                where=name,
                hint="leave it out of encoders=, or let it give times",
            )
        features: list[FeatureTensors | None] = []
        for values, times, valid in zip(tokens.values, tokens.times, tokens.valid(), strict=True):
            feature = (values[valid].cpu(), times[valid].float().cpu())
            features.append(feature if bool(valid.any()) else None)
        return features


def frozen_encoders(
    plan: Plan, catalog: Catalog, names: Collection[str] | None = None, on_node: Callable[[str], None] | None = None
) -> FrozenEncoders:
    """The encoders that a config says are frozen, as [affectgpt.core.assembly.assemble][] builds them.

    Raises ConfigError when one of `names` (None: all) is no encoder of the plan or is not frozen.
    """
    selected = _select(plan, names)
    _check_frozen(plan, selected)
    return _fixed(plan, build_encoders(plan, on_node), selected)


def built_encoders(pipeline: Pipeline, names: Collection[str] | None = None) -> FrozenEncoders:
    """The encoders of a pipeline that its config says are frozen, as they are. Raises as [frozen_encoders][]."""
    selected = _select(pipeline.plan, names)
    _check_frozen(pipeline.plan, selected)
    return _fixed(pipeline.plan, pipeline.encoders, selected)


def saved_encoders(
    folder: Path,
    catalog: Catalog,
    names: Collection[str] | None = None,
    on_node: Callable[[str], None] | None = None,
    *,
    allow_pickle: bool = False,
) -> FrozenEncoders:
    """The encoders of a saved model, whether they were trained or not; its language model is not loaded.

    Raises as [affectgpt.core.saved.model.load][], and ConfigError for an encoder whose weights were read from a model
    folder and then trained: a pipeline in which it is frozen would read the folder's.
    """
    plan, tensors = read_saved(folder, catalog, allow_pickle=allow_pickle)
    selected = _select(plan, names)
    built = build_encoders(plan, on_node)
    for name in selected:
        prefix = f"encoders.{name}."
        stored = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if built[name].pretrained and not plan.encoders[name].config.frozen:
            raise ConfigError(
                "this encoder was trained on from a model folder, and cannot be frozen as it is now",
                where=f"{folder}: encoders.{name}",
                hint="choose others: encoders=",
            )
        expected = {} if built[name].pretrained else built[name].state_dict(prefix=prefix)
        copy_into(expected, stored, str(folder / WEIGHTS))
    return _fixed(plan, built, selected)


def _select(plan: Plan, names: Collection[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - plan.encoders.keys())
    if unknown:
        raise ConfigError(
            f"there is no encoder {unknown[0]!r}",
            where="encoders",
            expected=f"any of {join_names(plan.encoders)}",
            hint=did_you_mean(unknown[0], plan.encoders),
        )
    return [name for name in plan.encoders if names is None or name in names]


def _check_frozen(plan: Plan, selected: Collection[str]) -> None:
    trained = [name for name in selected if not plan.encoders[name].config.frozen]
    if trained:
        raise ConfigError.from_problems(
            [
                Problem(
                    "this encoder is trained: what it gives changes with every step",
                    where=f"encoders.{name}.frozen",
                    found="frozen: false",
                    expected="frozen: true",
                    hint=f'changes="encoders.{name}.frozen=true" keeps its weights, encoders= chooses others; '
                    "or start from the folder of a saved model",
                )
                for name in trained
            ]
        )


def _fixed(plan: Plan, built: NodeModules, selected: Collection[str]) -> FrozenEncoders:
    modules = NodeModules({name: built[name].requires_grad_(False) for name in selected})
    return FrozenEncoders(plan, modules.eval())
