"""[FeatureCache][]: stored features in the place of encoders, for training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.tensors import copy_into, read_tensors
from affectgpt.core.streams import nothing_to_read, reads_words
from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.file_hashes import (
    FileStat,
    absolute_path,
    content_keys,
    file_journal,
    hash_files,
    media_paths,
    read_file_stats,
)
from affectgpt.data.feature_cache.index import Index, IndexEntry, index_journal, read_index, shard_name
from affectgpt.data.feature_cache.keys import json_digest, tensors_digest
from affectgpt.data.feature_cache.plan_check import PlanCheck
from affectgpt.data.feature_cache.settings import CacheSettings, read_settings
from affectgpt.data.feature_cache.shards import REPAIR, Shards, tensor_names
from affectgpt.data.feature_cache.writer import WEIGHTS
from affectgpt.data.samples import BrokenClip, Sample
from affectgpt.registry.errors import CheckpointError, ConfigError, DataError, Problem
from affectgpt.registry.messages import count_and_first

HINT_ENCODE_AGAIN = "run encode again: it encodes only what is missing"


class FeatureCache:
    """A folder that `affectgpt encode` wrote. Get one from [FeatureCache.open][].

    - `encoders`: the names of the encoders that it was made with.
    - `unbuilt`: those that need not be built for training, because a model folder holds their weights.
    """

    def __init__(self, folder: Path, settings: CacheSettings, index: Index, stats: Mapping[str, FileStat]) -> None:
        self.folder, self.settings = folder, settings
        self._index, self._stats = index, stats
        self.encoders = tuple(settings.encoders)
        self.unbuilt = tuple(name for name, encoder in settings.encoders.items() if not encoder.stored)

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
            actual_size = path.stat().st_size if path.is_file() else None
            if actual_size != size:
                raise DataError(
                    "a shard of the cache is missing" if actual_size is None else "a shard is not whole",
                    where=str(path),
                    found="no file" if actual_size is None else f"{actual_size:,} bytes",
                    expected=f"{size:,} bytes",
                    hint=REPAIR,
                )
        return cls(folder, settings, index, read_file_stats(file_journal(folder))[0])

    def digest(self) -> str:
        """A hash of what the features were made with."""
        return json_digest(self.settings.to_json())

    def check_plan(self, plan: Plan) -> None:
        """Raise ConfigError unless the features are those that the encoders of `plan` would give: [PlanCheck][]."""
        PlanCheck(self.folder, self.settings, self._stats).check(plan)

    def samples(self, examples: Sequence[Example], plan: Plan | None = None) -> tuple[FeatureDataset, list[BrokenClip]]:
        """The clips of `examples` with their features, in order; apart from them those that cannot be read.

        With the `plan` of a pipeline, the features of its encoders (None: all), and a clip of which nothing would stand
        in the prompt cannot be read. A file that the cache does not know by path, size and time is hashed. Raises
        DataError naming the clips that the cache lacks.
        """
        stats: dict[str, FileStat | Problem] = dict(self._stats)
        for batch in hash_files(examples, self._stats, os.cpu_count() or 1):
            stats.update(batch)
        keys, problems = content_keys(examples, stats, self.settings.reads)
        problems.update({name: self._index.broken[key] for name, key in keys.items() if key in self._index.broken})
        missing = [
            example
            for example in examples
            if example.name not in problems and keys[example.name] not in self._index.clips
        ]
        if missing:
            raise self._lacks(missing)
        encoder_names = self.encoders if plan is None else tuple(plan.encoders)
        if plan is not None:
            problems.update(self._empty_clips(plan, examples, {k: v for k, v in keys.items() if k not in problems}))
        readable = [example for example in examples if example.name not in problems]
        entries = [(keys[example.name], self._index.clips[keys[example.name]]) for example in readable]
        widths = {name: encoder.dim for name, encoder in self.settings.encoders.items() if name in encoder_names}
        weights = {name: self.settings.encoders[name].weights for name in widths}
        stored = json_digest([[key, {name: entry.features[name] for name in widths}] for key, entry in entries])
        dataset = FeatureDataset(
            readable,
            entries,
            Shards(self.folder),
            widths,
            getattr(torch, self.settings.dtype),
            {"dtype": self.settings.dtype, "weights": weights, "features": stored},
        )
        return dataset, [
            BrokenClip(example.name, problems[example.name]) for example in examples if example.name in problems
        ]

    def _empty_clips(self, plan: Plan, examples: Sequence[Example], keys: Mapping[str, str]) -> dict[str, Problem]:
        """Why a clip has nothing that would stand in the prompt, by name."""
        return {
            example.name: nothing_to_read(plan, plan.encoders, str(example.video), entry.notes)
            for example in examples
            if (entry := self._index.clips.get(keys.get(example.name, ""))) is not None
            and all(entry.features[name] is None for name in plan.encoders)
            and not reads_words(plan, example.subtitle)
        }

    def _lacks(self, missing: Sequence[Example]) -> DataError:
        changed = [
            example.name
            for example in missing
            if all(path is None or absolute_path(path) in self._stats for path in media_paths(example))
        ]
        new = [example.name for example in missing if example.name not in set(changed)]
        files = "files and subtitles" if "subtitle" in self.settings.reads else "files"
        problems = [
            Problem(what, str(self.folder), count_and_first(names), hint=HINT_ENCODE_AGAIN)
            for what, names in (
                ("clips are not in the feature cache", new),
                (f"clips are not in the feature cache as their {files} are now", changed),
            )
            if names
        ]
        return DataError.from_problems(problems)  # type: ignore[return-value]

    def load_weights(self, pipeline: Pipeline) -> None:
        """Give the pipeline's encoders the weights that the features were made with, where no model folder has them.

        Raises CheckpointError when the stored weights are damaged, altered or of another encoder.
        """
        names = [name for name in pipeline.plan.encoders if name in self.encoders and name not in self.unbuilt]
        expected = {
            key: tensor
            for name in names
            for key, tensor in pipeline.encoders[name].state_dict(prefix=f"{name}.").items()
        }
        if not expected:
            return
        path = self.folder / WEIGHTS
        stored = {key: tensor for key, tensor in read_tensors(path).items() if key.partition(".")[0] in names}
        copy_into(expected, stored, str(path))
        differing = self._of_other_weights(pipeline)
        if differing:
            raise CheckpointError(
                "the weights of an encoder are not those that the features were made with",
                where=f"{path}: {', '.join(differing)}",
                hint=REPAIR,
            )

    def check_weights(self, pipeline: Pipeline) -> None:
        """Raise ConfigError when an encoder of `pipeline` has other weights than those the features were made with."""
        differing = self._of_other_weights(pipeline)
        if differing:
            raise ConfigError(
                "the feature cache was made with other weights of an encoder",
                where=str(self.folder),
                found=", ".join(differing),
                hint="encode the clips with the encoders of this model",
            )

    def _of_other_weights(self, pipeline: Pipeline) -> list[str]:
        return [
            name
            for name, module in pipeline.encoders.items()
            if name in self.encoders
            and name not in self.unbuilt
            and tensors_digest(module.state_dict()) != self.settings.encoders[name].weights
        ]


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
        entries: Sequence[tuple[str, IndexEntry]],
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

    def _feature(self, key: str, entry: IndexEntry, encoder: str, clip: str) -> Prepared | None:
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
