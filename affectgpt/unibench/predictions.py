"""Write the predictions of a model for a data set: one JSON row per clip, resumed after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from affectgpt.core.batched_answers import AnswerWithShares, answer_window, subtitle_notes, window_size, windows
from affectgpt.core.description import Description
from affectgpt.core.generation import generation_settings
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.example import Example
from affectgpt.data.samples import BrokenClip, ClipDataset, Sample
from affectgpt.files.hashing import sha256_of_file
from affectgpt.files.row_file import open_row_file
from affectgpt.registry.errors import RunError
from affectgpt.unibench.sources import DataSource
from affectgpt.workers.prefetch import prefetch

FORMAT = "affectgpt predictions"
_DIGITS = 6


def write_predictions(
    pipeline: Pipeline,
    model: str,
    source: DataSource,
    out: Path,
    *,
    batch_size: int = 8,
    workers: int = 2,
    question: str | None = None,
    shares: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the predictions of `source` to `out`, going on where an earlier run stopped; gives the number of new rows.

    A row holds `id`, `text`, `attribution` (`counted`: the share of each modality in the answer; `fusion`: what the
    fusers report), `seconds` (the clip's length), `model`, `prompt` (its hash) and `seed`; a clip that cannot be read
    has an `error` and an empty text. How long the work took is not in the file: the same run gives the same bytes.

    Raises ConfigError when the question does not fit, DataError when `out` was begun otherwise, RunError when the disk
    refuses or a process that reads clips dies.
    """
    question_text = pipeline.plan.config.prompt.question if question is None else question
    pipeline.check_question(question_text)
    facts = {"model": model, "prompt": prompt_hash(pipeline, question_text), "seed": pipeline.plan.config.seed}
    ids = [example.name for example in source.examples]
    # Within a window clips change places, so that a window is what is made again after a kill.
    window = window_size(batch_size)
    settings = {
        "format": FORMAT,
        "dataset": source.key,
        "clips": len(ids),
        "ids": _digest(ids),
        **facts,
        "question": question_text,
        "generation": generation_settings(pipeline.plan.config).model_dump(mode="json"),
        "batch_size": batch_size,
        "window": window,
        "device": pipeline.device.type,
        "versions": {name: version(name) for name in ("affectgpt", "torch", "transformers")},
        **({} if shares else {"shares": False}),
    }
    with open_row_file(out, settings, ids, window) as file:
        before = file.done
        if progress:
            progress(before, len(ids))
        for clips in _windows(source.examples[before:], pipeline, batch_size, workers):
            file.append([{**row, **facts} for row in _prediction_rows(pipeline, clips, batch_size, question, shares)])
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
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of_file(path)}\n".encode())
    return f"{folder.resolve().name}@{digest.hexdigest()[:12]}"


def pipeline_name(pipeline: Pipeline) -> str:
    """What a pipeline in memory is called in predictions: with a hash of its config and of its weights."""
    digest = hashlib.sha256(pipeline.plan.config.model_dump_json().encode())
    for name, tensor in sorted(pipeline.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"pipeline@{digest.hexdigest()[:12]}"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]


def _windows(
    examples: Sequence[Example], pipeline: Pipeline, size: int, workers: int
) -> Iterator[list[Sample | BrokenClip]]:
    clips = ClipDataset(examples, pipeline.prepare_or_raise)

    def lost(index: int, how: str) -> Sample:
        # No row: a process that runs out of memory today may not do so tomorrow, and the file would be another one.
        raise RunError(
            "a process that reads clips died",
            where=examples[index].name,
            found=how,
            hint="run again to go on; if it dies at the same clip again, leave that clip out",
        )

    return windows(prefetch(clips.__getitem__, len(examples), workers, lost), size)


def _prediction_rows(
    pipeline: Pipeline, clips: Sequence[Sample | BrokenClip], size: int, question: str | None, shares: bool
) -> list[dict[str, Any]]:
    samples = [clip for clip in clips if isinstance(clip, Sample)]
    results = iter(answer_window(pipeline, samples, size, question, shares=shares))
    return [
        _row(
            _description(pipeline, clip, next(results))
            if isinstance(clip, Sample)
            else Description(clip.name, error=str(clip.problem))
        )
        for clip in clips
    ]


def _description(pipeline: Pipeline, clip: Sample, result: AnswerWithShares) -> Description:
    # The seconds are the clip's length: the same run gives the same rows.
    return Description(
        clip.name,
        result.answer.text,
        clip.subtitle,
        {name: None if share is None else round(share, _DIGITS) for name, share in result.counted.items()},
        {
            fuser: {name: round(weight, _DIGITS) for name, weight in weights.items()}
            for fuser, weights in result.answer.attribution.items()
        },
        [*clip.notes, *subtitle_notes(pipeline, clip.subtitle)],
        round(clip.seconds, 3),
    )


def _row(clip: Description) -> dict[str, Any]:
    return {
        "id": clip.file,
        "text": clip.text,
        "attribution": {} if clip.error else {"counted": clip.counted, "fusion": clip.fusion},
        "seconds": clip.seconds,
        **({"notes": clip.notes} if clip.notes else {}),
        **({"error": clip.error} if clip.error else {}),
    }
