"""Predictions: what a model says of every clip of a data set, one JSON row each, in a file that survives a kill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from affectgpt.core.batch import collate
from affectgpt.core.influence import influence
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.clips import BrokenClip, ClipDataset, Sample
from affectgpt.data.end_with_parent import end_with
from affectgpt.data.example import Example
from affectgpt.data.file_hash import hash_of
from affectgpt.data.row_file import opened
from affectgpt.unibench.sources import Source

FORMAT = "affectgpt predictions"
_DIGITS = 6


def generate(
    pipeline: Pipeline, model: str, source: Source, out: Path, *,
    batch_size: int = 8, workers: int = 2, question: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:  # fmt: skip
    """Write the predictions of `source` to `out`, going on where an earlier run stopped; gives the number of new rows.

    A row holds `id`, `text`, `attribution` (`counted`: the share of each modality in the answer; `fusion`: what the
    fusers report), `seconds` (the clip's length), `model`, `prompt` (its hash) and `seed`; a clip that cannot be read
    has an `error` and an empty text. How long the work took is not in the file: the same run gives the same bytes.

    Raises ConfigError when the question does not fit, DataError when `out` was begun otherwise, RunError when the disk
    refuses.
    """
    asked = pipeline.plan.config.prompt.question if question is None else question
    pipeline.check_question(asked)
    facts = {"model": model, "prompt": prompt_hash(pipeline, asked), "seed": pipeline.plan.config.seed}
    ids = [example.name for example in source.examples]
    settings = {
        "format": FORMAT, "dataset": source.key, "clips": len(ids), "ids": _digest(ids), **facts, "question": asked,
        "generation": pipeline.plan.config.generation.model_dump(mode="json"), "batch_size": batch_size,
        "device": pipeline.device.type,
        "versions": {name: version(name) for name in ("affectgpt", "torch", "transformers")},
    }  # fmt: skip
    with opened(out, settings, ids, batch_size) as file:
        before = file.done
        if progress:
            progress(before, len(ids))
        for batch in _batches(source.examples[before:], pipeline, batch_size, workers):
            file.append([{**row, **facts} for row in _described(pipeline, batch, question)])
            if progress:
                progress(file.done, len(ids))
    return len(ids) - before


def prompt_hash(pipeline: Pipeline, question: str) -> str:
    """A hash of all that the language model is told beside the clip: the prompt's parts and the question."""
    return _digest([*(f"{part.kind} {part.value}" for part in pipeline.plan.parts), question])


def model_name(folder: Path) -> str:
    """A saved model's folder name, with a hash of what is in the folder."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {hash_of(path)}\n".encode())
    return f"{folder.resolve().name}@{digest.hexdigest()[:12]}"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]


def _batches(examples: Sequence[Example], pipeline: Pipeline, size: int, workers: int) -> Iterator[list[Any]]:
    # Sent to workers by forking: the clips are decoded there, a few ahead of the model.
    clips = ClipDataset(examples, pipeline.prepare)
    loader = DataLoader(
        clips, batch_size=size, num_workers=min(workers, len(examples)), collate_fn=list,
        worker_init_fn=partial(end_with, os.getpid()),
    )  # fmt: skip
    yield from loader


def _described(pipeline: Pipeline, clips: Sequence[Sample | BrokenClip], question: str | None) -> list[dict[str, Any]]:
    whole = [clip for clip in clips if isinstance(clip, Sample)]
    rows = iter(_answers(pipeline, whole, question) if whole else [])
    return [
        {"id": clip.name, "text": "", "attribution": {}, "seconds": 0.0, "error": str(clip.problem)}
        if isinstance(clip, BrokenClip) else next(rows)
        for clip in clips
    ]  # fmt: skip


def _answers(pipeline: Pipeline, clips: Sequence[Sample], question: str | None) -> Iterator[dict[str, Any]]:
    batch = collate([clip.media for clip in clips], [clip.subtitle for clip in clips]).to(pipeline.device)
    answers = pipeline.generate(batch, question)
    shares = influence(pipeline, batch, [answer.text for answer in answers], question)
    for clip, answer, share in zip(clips, answers, shares, strict=True):
        counted = {name: None if value is None else round(value, _DIGITS) for name, value in share.items()}
        fusion = {
            name: {each: round(value, _DIGITS) for each, value in weights.items()}
            for name, weights in answer.attribution.items()
        }
        yield {
            "id": clip.name, "text": answer.text, "attribution": {"counted": counted, "fusion": fusion},
            "seconds": round(clip.seconds, 3), **({"notes": list(clip.notes)} if clip.notes else {}),
        }  # fmt: skip
