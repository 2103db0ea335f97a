"""The demonstration: write synthetic clips, train the small model and three variants, compare them on held-out clips.

Everything that it reports is computed in the run.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from affectgpt.bundled import bundled_config
from affectgpt.core.load_config import load_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.clips import generate
from affectgpt.synthetic.identity import Split
from affectgpt.synthetic.score import Score, score_texts
from affectgpt.workers.parent import end_with

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "full model": (),
    "no pre-fusion": ("fusers.multi=null", "prompt.template='{audio_tokens}{face_tokens} {subtitle} {question}'"),
    "face only": (
        "encoders.audio=null",
        "fusers.audio_tokens=null",
        "fusers.multi=null",
        "prompt.template='{face_tokens} {subtitle} {question}'",
    ),
    "voice only": (
        "encoders.face=null",
        "fusers.face_tokens=null",
        "fusers.multi=null",
        "prompt.template='{audio_tokens} {subtitle} {question}'",
    ),
}
"""The rows of the table: what each changes in `configs/tiny.yaml`."""


@dataclass(frozen=True)
class Row:
    """One trained variant on the held-out clips: its score, trained parameters, last loss and training seconds."""

    name: str
    seed: int
    score: Score
    parameters: int
    loss: float
    seconds: float


Progress = Callable[[str, int, int], None]
"""Told (what, done, total) as the work goes on."""


def tiny_plan(catalog: Catalog, seed: int, changes: Sequence[str] = ()) -> Plan:
    """The plan of `configs/tiny.yaml` with these overrides."""
    config, source = load_config(bundled_config("tiny"), catalog, [f"seed={seed}", *changes])
    return make_plan(config, catalog, source)


def variant_plan(name: str, catalog: Catalog, seed: int, overrides: Sequence[str] = ()) -> Plan:
    """The plan of one row of the table."""
    return tiny_plan(catalog, seed, (*VARIANTS[name], *overrides))


def write_clips(folder: Path, *, train: int, test: int, seed: int, workers: int, progress: Progress) -> None:
    """Write the training and held-out clips into `folder/train` and `folder/test`; the two share no identity."""
    splits: tuple[tuple[Split, int], ...] = (("train", train), ("test", test))
    for split, count in splits:
        generate(
            folder / split,
            clips=count,
            seed=seed,
            split=split,
            workers=workers,
            progress=partial(progress, f"writing {split} clips"),
        )


def read_clips(folder: Path, plan: Plan, catalog: Catalog, workers: int, progress: Progress) -> dict[str, list[Any]]:
    """Prepare both splits for the full model; the variants read parts of the same samples."""
    from affectgpt.core.assembly import assemble
    from affectgpt.data.samples import read_samples

    pipeline = assemble(plan, catalog)
    return {
        split: read_samples(
            read_mer2025(folder / split),
            pipeline.prepare,
            workers=workers,
            progress=partial(progress, f"reading {split} clips"),
        )[0]
        for split in ("train", "test")
    }


def run_variants(
    jobs: Sequence[tuple[str, int]],
    samples: Mapping[str, Sequence[Any]],
    *,
    workers: int,
    variants: Mapping[str, Sequence[str]] = VARIANTS,
    overrides: Sequence[str] = (),
    save_first: Path | None = None,
    progress: Progress,
) -> Iterator[Row]:
    """Train and score (variant, seed) jobs, one process with one thread each; rows come as they finish.

    `variants` says what each changes in `configs/tiny.yaml`, `overrides` what all of them do. `save_first` is where
    the model of the first job is saved.
    """
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    # Bytes of our own making: as tensors they would cross with one open file each, past the usual limit of 1024.
    given = pickle.dumps(dict(samples))
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start, initargs=(given, messages, os.getpid())
    ) as pool:
        waiting: list[Future[Row]] = [
            pool.submit(_job, name, seed, (*variants[name], *overrides), save_first if index == 0 else None)
            for index, (name, seed) in enumerate(jobs)
        ]
        try:
            while waiting:
                with suppress(queue.Empty):
                    progress(*messages.get(timeout=0.2))
                for future in [each for each in waiting if each.done()]:
                    waiting.remove(future)
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()


_samples: dict[str, Sequence[Any]] = {}
_messages: Any = None


def _start(samples: bytes, messages: Any, parent: int) -> None:
    import torch

    global _messages
    end_with(parent)
    torch.set_num_threads(1)
    _samples.update(pickle.loads(samples))
    _messages = messages


def _job(name: str, seed: int, changes: tuple[str, ...], save_to: Path | None) -> Row:
    from affectgpt.core.assembly import assemble
    from affectgpt.core.saved.model import save
    from affectgpt.training.loop import train

    catalog = discover()
    plan = tiny_plan(catalog, seed, changes)
    label = f"training: {name}" + (f", seed {seed}" if seed else "")
    pipeline = assemble(plan, catalog)
    steps = plan.config.training.steps
    history = train(pipeline, _samples["train"], on_step=lambda step, _: _messages.put((label, step, steps)))
    texts = write_texts(pipeline, _samples["test"])
    if save_to is not None:
        save(pipeline, save_to, dtype="float16")
    trained = sum(parameter.numel() for parameter in pipeline.parameters() if parameter.requires_grad)
    return Row(
        name,
        seed,
        score_texts(texts, [sample.description for sample in _samples["test"]]),
        trained,
        sum(history.losses[-10:]) / len(history.losses[-10:]),
        history.seconds,
    )


def write_texts(pipeline: Any, samples: Sequence[Any], batch_size: int = 32) -> list[str]:
    """The pipeline's answer for every sample, in order."""
    from affectgpt.data.samples import batches

    return [answer.text for batch, _ in batches(samples, batch_size) for answer in pipeline.generate(batch)]
