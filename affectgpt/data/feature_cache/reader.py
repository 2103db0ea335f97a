"""[FeatureCache][]: stored features in the place of encoders, for training."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, PlannedNode
from affectgpt.core.saved.tensors import fill, read_tensors
from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.file_hashes import (
    Facts,
    contents,
    file_journal,
    hash_new,
    paths_of,
    place_of,
    read_known,
)
from affectgpt.data.feature_cache.index import Entry, Index, index_journal, read_index, shard_name
from affectgpt.data.feature_cache.keys import digest, fingerprint, options_of
from affectgpt.data.feature_cache.settings import EncoderSettings, Settings, read_settings
from affectgpt.data.feature_cache.shards import REPAIR, Shards, tensor_names
from affectgpt.data.feature_cache.writer import WEIGHTS
from affectgpt.data.samples import BrokenClip, Sample
from affectgpt.registry.errors import CheckpointError, ConfigError, DataError, Problem, listed
from affectgpt.registry.messages import first_of

OTHER = "run encode with this config, into another folder"
AGAIN = "run encode again: it encodes only what is missing"


class FeatureCache:
    """A folder that `affectgpt encode` wrote. Get one from [FeatureCache.open][].

    - `encoders`: the names of the encoders that it was made with.
    - `without`: those that need not be built for training, because a model folder holds their weights.
    """

    def __init__(self, folder: Path, settings: Settings, index: Index, known: Mapping[str, Facts]) -> None:
        self.folder, self.settings = folder, settings
        self._index, self._known = index, known
        self.encoders = tuple(settings.encoders)
        self.without = tuple(name for name, each in settings.encoders.items() if not each.stored)

    @classmethod
    def open(cls, folder: str | Path) -> FeatureCache:
        """Read the index of a cache; its features are read, and verified, when they are asked for.

        Raises DataError when it is no cache, a row of its index was altered, or a shard is missing or cut off.
        """
        folder = Path(folder)
        settings = read_settings(folder)
        index = read_index(index_journal(folder), tuple(settings.encoders))
        for number, size in enumerate(index.shards):
            path = folder / shard_name(number)
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise DataError(
                    "a shard of the cache is missing" if found is None else "a shard is not whole",
                    where=str(path),
                    found="no file" if found is None else f"{found:,} bytes",
                    expected=f"{size:,} bytes",
                    hint=REPAIR,
                )
        return cls(folder, settings, index, read_known(file_journal(folder))[0])

    def digest(self) -> str:
        """A hash of what the features were made with."""
        return digest(self.settings.model_dump(mode="json"))

    def refuse_other(self, plan: Plan) -> None:
        """Raise ConfigError unless every encoder of `plan` is frozen, and here under its name with its options."""
        problems = [problem for name, node in plan.encoders.items() for problem in self._differences(name, node)]
        if problems:
            raise ConfigError.of(problems)

    def _differences(self, name: str, node: PlannedNode) -> list[Problem]:
        where = f"encoders.{name}"
        mine = self.settings.encoders.get(name)
        if mine is None:
            return [
                Problem(
                    "this encoder is not in the feature cache",
                    where,
                    f"{self.folder} has {listed(self.encoders)}",
                    hint=OTHER,
                )
            ]
        problems = []
        if not node.config.frozen:
            problems.append(
                Problem(
                    "an encoder that is trained cannot be read from a feature cache",
                    f"{where}.frozen",
                    "frozen: false",
                    "frozen: true",
                )
            )
        other = _other_options(mine, node)
        if other:
            problems.append(
                Problem(
                    "the feature cache was made with another encoder",
                    where,
                    ", ".join(f"{key}: {theirs!r}"[:160] for key, (_, theirs) in other.items()),
                    ", ".join(f"{key}: {ours!r}"[:160] for key, (ours, _) in other.items()) + f", as in {self.folder}",
                    OTHER,
                )
            )
        return problems

    def samples(
        self, examples: Sequence[Example], encoders: Collection[str] | None = None
    ) -> tuple[FeatureDataset, list[BrokenClip]]:
        """The clips of `examples` with their features, in order; apart from them those that encode could not read.

        `encoders` are those whose features are wanted (None: all). A file that the cache does not know by path, size
        and time is hashed. Raises DataError naming the clips that the cache lacks.
        """
        found: dict[str, Facts | Problem] = dict(self._known)
        for some in hash_new(examples, self._known, os.cpu_count() or 1):
            found.update(some)
        keys, problems = contents(examples, found)
        problems.update({name: self._index.broken[key] for name, key in keys.items() if key in self._index.broken})
        absent = [each for each in examples if each.name not in problems and keys[each.name] not in self._index.clips]
        if absent:
            raise self._lacks(absent)
        there = [each for each in examples if each.name not in problems]
        entries = [(keys[each.name], self._index.clips[keys[each.name]]) for each in there]
        wanted = self.encoders if encoders is None else encoders
        widths = {name: each.dim for name, each in self.settings.encoders.items() if name in wanted}
        weights = {name: self.settings.encoders[name].weights for name in widths}
        stored = digest([[key, {name: entry.features[name] for name in widths}] for key, entry in entries])
        dataset = FeatureDataset(
            there,
            entries,
            Shards(self.folder),
            widths,
            getattr(torch, self.settings.dtype),
            {"dtype": self.settings.dtype, "weights": weights, "features": stored},
        )
        return dataset, [BrokenClip(each.name, problems[each.name]) for each in examples if each.name in problems]

    def _lacks(self, absent: Sequence[Example]) -> DataError:
        changed = [
            each.name
            for each in absent
            if all(path is None or place_of(path) in self._known for path in paths_of(each))
        ]
        new = [each.name for each in absent if each.name not in set(changed)]
        problems = [
            Problem(what, str(self.folder), first_of(names), hint=AGAIN)
            for what, names in (
                ("clips are not in the feature cache", new),
                ("clips are not in the feature cache as their files are now", changed),
            )
            if names
        ]
        return DataError.of(problems)  # type: ignore[return-value]

    def fill(self, pipeline: Pipeline) -> None:
        """Give the pipeline's encoders the weights that the features were made with, where no model folder has them.

        Raises CheckpointError when the stored weights are damaged, altered or of another encoder.
        """
        names = [name for name in pipeline.plan.encoders if name in self.encoders and name not in self.without]
        own = {
            key: tensor
            for name in names
            for key, tensor in pipeline.encoders[name].state_dict(prefix=f"{name}.").items()
        }
        if not own:
            return
        path = self.folder / WEIGHTS
        stored = {key: each for key, each in read_tensors(path).items() if key.partition(".")[0] in names}
        fill(own, stored, str(path))
        other = self._of_other_weights(pipeline)
        if other:
            raise CheckpointError(
                "the weights of an encoder are not those that the features were made with",
                where=f"{path}: {', '.join(other)}",
                hint=REPAIR,
            )

    def refuse_other_weights(self, pipeline: Pipeline) -> None:
        """Raise ConfigError when an encoder of `pipeline` has other weights than those the features were made with."""
        other = self._of_other_weights(pipeline)
        if other:
            raise ConfigError(
                "the feature cache was made with other weights of an encoder",
                where=str(self.folder),
                found=", ".join(other),
                hint="encode the clips with this model: --model",
            )

    def _of_other_weights(self, pipeline: Pipeline) -> list[str]:
        return [
            name
            for name, module in pipeline.encoders.items()
            if name in self.encoders
            and name not in self.without
            and fingerprint(module.state_dict()) != self.settings.encoders[name].weights
        ]


def _other_options(mine: EncoderSettings, node: PlannedNode) -> dict[str, tuple[object, object]]:
    ours = {"plugin": mine.plugin, **mine.options, "width": mine.dim}
    theirs = {"plugin": node.entry.spec.name, **options_of(node), "width": node.output.dim}
    return {
        key: (ours.get(key), theirs.get(key))
        for key in [*theirs, *(ours.keys() - theirs.keys())]
        if ours.get(key) != theirs.get(key)
    }


class FeatureDataset(Dataset[Sample]):
    """The samples of `examples`, their media read from a cache and verified when they are asked for.

    Media are `Prepared(values [T, D] float, times [T] float32, encoded=True)`, None where the clip lacks the stream.
    `facts` are the stored dtype, a fingerprint of each encoder's weights, and a hash of all features' checksums. It can
    be sent to the workers of a DataLoader: each opens the shards for itself. Asking raises DataError, naming file and
    clip, when the stored features were altered.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        entries: Sequence[tuple[str, Entry]],
        shards: Shards,
        widths: Mapping[str, int],
        dtype: torch.dtype,
        facts: Mapping[str, Any],
    ) -> None:
        self.examples, self.facts = examples, facts
        self._entries, self._shards, self._widths, self._dtype = entries, shards, widths, dtype

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Sample:
        example, (key, entry) = self.examples[index], self._entries[index]
        media = {name: self._feature(key, entry, name, example.name) for name in self._widths}
        return Sample(
            example.name, media, example.subtitle, example.description, example.labels, entry.seconds, entry.notes
        )

    def _feature(self, key: str, entry: Entry, encoder: str, clip: str) -> Prepared | None:
        feature = entry.features[encoder]
        if feature is None:
            return None
        count, values_sum, times_sum = feature
        values, times = tensor_names(key, encoder)
        shape = (count, self._widths[encoder])
        return Prepared(
            self._shards.read(entry.shard, values, values_sum, shape, self._dtype, clip),
            self._shards.read(entry.shard, times, times_sum, shape[:1], torch.float32, clip),
            encoded=True,
        )
