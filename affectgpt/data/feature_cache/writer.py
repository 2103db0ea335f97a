"""Encode every clip once: batches in a fixed order, atomic shards, and an index that a stopped run resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from affectgpt.data.example import Example
from affectgpt.data.feature_cache.file_hashes import (
    ContentKeys,
    FileStat,
    absolute_path,
    content_keys,
    file_journal,
    first_changed,
    hash_files,
    hash_weights,
    media_paths,
    read_file_stats,
)
from affectgpt.data.feature_cache.fixed_encoders import FrozenEncoders
from affectgpt.data.feature_cache.index import (
    EndRow,
    FeatureRow,
    Index,
    broken_row,
    clip_row,
    index_journal,
    read_index,
    shard_name,
    storable_problem,
)
from affectgpt.data.feature_cache.keys import checksum, code_of_encoder, encoder_key, options_of, tensors_digest
from affectgpt.data.feature_cache.settings import (
    CacheSettings,
    DType,
    EncoderSettings,
    check_folder,
    presence_settings,
    write_or_check_settings,
)
from affectgpt.data.feature_cache.shards import tensor_names, write_tensors
from affectgpt.data.samples import BrokenClip, ClipDataset, Sample
from affectgpt.files.locks import exclusive
from affectgpt.media import MEDIA_VERSION
from affectgpt.registry.errors import Problem, RunError
from affectgpt.workers.prefetch import AHEAD, prefetch

WEIGHTS = "encoders.safetensors"
SHARD_CLIPS, SHARD_BYTES = 256, 256 * 1024 * 1024
Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) as the work proceeds."""


@dataclass(frozen=True)
class Encoded:
    """What a run stored: how many of the `clips` the cache holds now, how many of them are `new`.

    `broken` are the clips that cannot be read; `encoders` are the names of the encoders.
    """

    clips: int
    new: int
    broken: list[BrokenClip] = field(default_factory=list)
    encoders: tuple[str, ...] = ()

    def check_broken_share(self, allowed: float) -> None:
        """Raise RunError naming the unreadable clips when they are more than this share of all."""
        total = self.clips + len(self.broken)
        if len(self.broken) > allowed * total:
            raise RunError.from_problems(
                [
                    Problem(
                        f"{len(self.broken)} of {total} clips cannot be read",
                        found=f"{len(self.broken) / total:.1%}",
                        expected=f"at most {allowed:.1%}",
                        hint="mend them and run again, which encodes only these; or pass allow_unreadable=",
                    ),
                    *(each.problem for each in self.broken),
                ]
            )


def encode(
    encoders: FrozenEncoders,
    examples: Sequence[Example],
    folder: Path,
    *,
    dtype: DType = "float32",
    batch_size: int = 8,
    workers: int = 2,
    device: str = "cpu",
    shard_clips: int = SHARD_CLIPS,
    progress: Progress | None = None,
) -> Encoded:
    """Store what `encoders` give of every example that the cache in `folder` lacks; a content is stored once.

    A run that was stopped, at whatever moment, and is started again gives the same bytes as one that was not. A clip
    that cannot be read is recorded and left out; the next run tries it again.

    Raises PluginError for an encoder whose code has no source file, or that reads what it does not declare; DataError
    when the folder holds something else or a cache of other settings or code, or another process writes it;
    RunError when the disk refuses, features are not finite in `dtype`, or a file changes meanwhile.
    """
    check_folder(folder)
    weights = _hash_weight_files(encoders, folder)
    settings = cache_settings(encoders, weights, dtype, batch_size, device)
    with exclusive(folder):
        write_or_check_settings(folder, settings)
        _store_weights(encoders, folder)
        tell = progress or (lambda what, done, total: None)
        stats = _hash_media(folder, examples, weights, workers, tell)
        content = content_keys(examples, stats, settings.reads)
        journal = index_journal(folder)
        index = read_index(journal, tuple(encoders.modules))
        with journal.open_at(index.end) as file:
            run = _Run(encoders, folder, file, index, stats, content, dtype, device, shard_clips)
            return run.all(examples, batch_size, workers, partial(tell, "encoding"))


def cache_settings(
    encoders: FrozenEncoders,
    weight_files: Mapping[str, Mapping[Path, FileStat]],
    dtype: DType,
    batch_size: int,
    device: str,
) -> CacheSettings:
    """All that decides the bytes of a cache, but for the clips."""
    nodes = {}
    for name, module in encoders.modules.items():
        node, weights = encoders.plan.encoders[name], tensors_digest(module.state_dict())
        plugin, options, code = node.entry.spec.name, options_of(node), code_of_encoder(node, type(module))
        nodes[name] = EncoderSettings(
            plugin=plugin,
            options=options,
            weights=weights,
            stored=not module.pretrained,
            dim=node.output.dim,
            code=code,
            files={path.name: facts.sha256 for path, facts in weight_files[name].items()},
            key=encoder_key(plugin, options, weights, code),
        )
    return CacheSettings(
        dtype=dtype,
        batch_size=batch_size,
        device=device,
        reads=encoders.reads(),
        media_version=MEDIA_VERSION,
        encoders=nodes,
        versions={name: version(name) for name in ("affectgpt", "torch", "transformers")},
        presence=presence_settings(encoders.plan.config.presence),
    )


def _hash_weight_files(encoders: FrozenEncoders, folder: Path) -> dict[str, dict[Path, FileStat]]:
    stats, _ = read_file_stats(file_journal(folder))
    configs = {name: encoders.plan.encoders[name].config for name in encoders.modules}
    return {
        name: hash_weights(configs[name].weight_files() if module.pretrained else (), stats)
        for name, module in encoders.modules.items()
    }


def _store_weights(encoders: FrozenEncoders, folder: Path) -> None:
    tensors = {
        key: tensor.detach().cpu().clone()
        for name, module in encoders.modules.items()
        if not module.pretrained
        for key, tensor in module.state_dict(prefix=f"{name}.").items()
    }
    if tensors:
        write_tensors(folder / WEIGHTS, tensors)


def _hash_media(
    folder: Path,
    examples: Sequence[Example],
    weight_files: Mapping[str, Mapping[Path, FileStat]],
    workers: int,
    tell: Progress,
) -> dict[str, FileStat | Problem]:
    """The stats of all files of clips, which the cache remembers together with those of weights."""
    journal = file_journal(folder)
    stats, end = read_file_stats(journal)
    weights = {absolute_path(path): facts for files in weight_files.values() for path, facts in files.items()}
    hashed: dict[str, FileStat | Problem] = {}
    with journal.open_at(end) as file:
        new = {path: facts for path, facts in weights.items() if stats.get(path) != facts}
        if new:
            journal.append(file, [{"path": path, **facts._asdict()} for path, facts in new.items()])
        for batch in hash_files(examples, stats, workers, partial(tell, "hashing files")):
            new = {path: facts for path, facts in batch.items() if isinstance(facts, FileStat)}
            journal.append(file, [{"path": path, **facts._asdict()} for path, facts in new.items()])
            hashed.update(batch)
    return {**stats, **hashed}


class _Run:
    def __init__(
        self,
        encoders: FrozenEncoders,
        folder: Path,
        file: BinaryIO,
        index: Index,
        stats: Mapping[str, FileStat | Problem],
        content: ContentKeys,
        dtype: DType,
        device: str,
        shard_clips: int,
    ) -> None:
        self.encoders, self.folder, self.file, self.index = encoders, folder, file, index
        self.stats, self.content = stats, content
        self.dtype, self.device, self.shard_clips = getattr(torch, dtype), device, shard_clips
        self.rows: list[dict[str, Any]] = []
        self.tensors: dict[str, Tensor] = {}
        self.new = 0
        for path in folder.glob("shard-*.safetensors"):
            # Of a run that was stopped between a shard and its rows.
            if path.name not in {shard_name(number) for number in range(len(index.shards))}:
                path.unlink()

    def all(
        self, examples: Sequence[Example], batch_size: int, workers: int, tell: Callable[[int, int], None]
    ) -> Encoded:
        by_key: dict[str, Example] = {}
        for example in examples:
            if example.name in self.content.keys:
                by_key.setdefault(self.content.keys[example.name], example)
        new = [key for key in by_key if key not in self.index.clips and key not in self.index.broken]
        # Last, so that the batches of the new ones are what they would be without them.
        retried = [key for key in by_key if key in self.index.broken]
        for module in self.encoders.modules.values():
            module.to(self.device)
        count = 0
        for keys in (new, retried):
            with closing(self._batches([by_key[key] for key in keys], batch_size, workers)) as batches:
                for batch in batches:
                    self._encode(batch)
                    count += len(batch)
                    tell(count, len(new) + len(retried))
            self._finish()
        problems = {
            **{name: self.index.broken[key] for name, key in self.content.keys.items() if key in self.index.broken},
            **self.content.problems,
        }
        broken = [BrokenClip(example.name, problems[example.name]) for example in examples if example.name in problems]
        return Encoded(len(examples) - len(broken), self.new, broken, tuple(self.encoders.modules))

    def _batches(
        self, examples: Sequence[Example], batch_size: int, workers: int
    ) -> Generator[list[Sample | BrokenClip]]:
        clips = _Unchanged(ClipDataset(examples, self.encoders.prepare), self.stats)
        # While the encoders run on a batch the workers decode the next, and no more.
        ahead = max(AHEAD, math.ceil(batch_size / max(1, workers)))
        with closing(prefetch(clips.read, len(examples), workers, clips.worker_died, ahead)) as decoded:
            while batch := list(islice(decoded, batch_size)):
                yield batch

    def _encode(self, clips: Sequence[Sample | BrokenClip]) -> None:
        samples = [clip for clip in clips if isinstance(clip, Sample)]
        features = iter(self.encoders.encode([clip.media for clip in samples], self.device) if samples else [])
        for clip in clips:
            key = self.content.keys[clip.name]
            if isinstance(clip, BrokenClip):
                problem = storable_problem(clip.problem)
                if self.index.broken.get(key) != problem:
                    self.rows.append(broken_row(key, clip.name, problem))
                    self.index.broken[key] = problem
                continue
            stored = {
                name: each and self._store_feature(key, clip.name, name, each) for name, each in next(features).items()
            }
            self.rows.append(clip_row(key, clip, stored))
            self.index.broken.pop(key, None)
            self.new += 1
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        if len(self.rows) >= self.shard_clips or size >= SHARD_BYTES:
            self._finish()

    def _store_feature(self, key: str, clip: str, encoder: str, feature: tuple[Tensor, Tensor]) -> FeatureRow:
        values, times = feature[0].to(self.dtype).clone(), feature[1].clone()
        if not bool(torch.isfinite(values).all() and torch.isfinite(times).all()):
            raise RunError(
                f"what the encoder {encoder!r} gives of a clip is not finite",
                where=clip,
                found=f"in {str(self.dtype).removeprefix('torch.')}",
                expected="finite values",
                hint='store it as dtype="float32"' if self.dtype != torch.float32 else "leave this clip out",
            )
        names = tensor_names(key, encoder)
        self.tensors.update(zip(names, (values, times), strict=True))
        return FeatureRow(tokens=len(values), values=checksum(values), times=checksum(times))

    def _finish(self) -> None:
        """End the group: first its shard, then its rows."""
        if not self.rows:
            return
        number, size = None, 0
        if any(row["row"] == "clip" for row in self.rows):
            number = len(self.index.shards)
            size = write_tensors(self.folder / shard_name(number), self.tensors)
            self.index.shards.append(size)
        index_journal(self.folder).append(self.file, [*self.rows, EndRow(shard=number, size=size).model_dump()])
        self.rows, self.tensors = [], {}


class _Unchanged:
    """Clips whose files are still those that were hashed. Raises RunError when they are not."""

    def __init__(self, clips: ClipDataset, stats: Mapping[str, FileStat | Problem]) -> None:
        self.clips, self.stats = clips, stats

    def read(self, index: int) -> Sample | BrokenClip:
        return self._unchanged(index, self.clips[index])

    def worker_died(self, index: int, how: str) -> Sample | BrokenClip:
        return self._unchanged(index, self.clips.worker_died(index, how))

    def _unchanged(self, index: int, clip: Sample | BrokenClip) -> Sample | BrokenClip:
        path = first_changed(media_paths(self.clips.examples[index]), self.stats)
        if path is not None:
            raise RunError(
                "a file changed while it was encoded",
                where=str(path),
                hint="run the same command again when it is left alone",
            )
        return clip
