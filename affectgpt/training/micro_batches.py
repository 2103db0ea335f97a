"""Micro-batches made where they are asked for, in this process or in workers, the same in either."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset

from affectgpt.core.batch import Batch, collate
from affectgpt.core.plan import Plan
from affectgpt.data.samples import BrokenClip, Sample
from affectgpt.registry.errors import AffectGPTError, DataError, Problem, RunError
from affectgpt.training.modality_dropout import ModalityDropout
from affectgpt.training.targets import answer_and_question
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import START, end_with


class Samples(Protocol):
    """Clips by number: a list of [Sample][], or what decodes or reads one when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Wanted:
    """Which clips a micro-batch is to hold, and the seed of what is drawn for it."""

    clips: tuple[int, ...]
    seed: int


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """What one forward pass reads: the clips, what is to be answered of each, and what is asked."""

    batch: Batch
    answers: list[str]
    questions: list[str]


class MicroBatches(Dataset[Any]):
    """Makes the [MicroBatch][] of a [Wanted][]; a clip that cannot be read gives its [BrokenClip][], or error, instead.

    `modality_dropout` is the chance that a clip loses a modality.
    """

    def __init__(self, samples: Samples, plan: Plan, modality_dropout: float) -> None:
        self.samples, self.plan = samples, plan
        self.dropout = ModalityDropout(plan, modality_dropout)

    def __getitem__(self, wanted: Wanted) -> MicroBatch | BrokenClip | AffectGPTError:
        try:
            return self._made(wanted)
        except AffectGPTError as error:
            # Given back: what a worker raises, torch raises again as another text, with a traceback in it.
            return error

    def _made(self, wanted: Wanted) -> MicroBatch | BrokenClip:
        draw = random.Random(wanted.seed)
        chosen: list[Sample] = []
        said: list[tuple[str, str]] = []
        for index in wanted.clips:
            sample = self.samples[index]
            if isinstance(sample, BrokenClip):
                return sample
            config = self.plan.config
            said.append(answer_and_question(sample, config.training.target, config.prompt, draw))
            chosen.append(self.dropout.apply(sample, draw))
        batch = collate([each.media for each in chosen], [each.subtitle for each in chosen])
        return MicroBatch(batch, [answer for answer, _ in said], [question for _, question in said])


def made(micro_batches: MicroBatches, wanted: Iterable[Wanted], workers: int) -> Generator[MicroBatch, None, None]:
    """The micro-batches in order, made by `workers` processes ahead of time, or here with 0.

    Raises DataError for a clip that cannot be read; to be used inside [told_of_dead_readers][].
    """
    if workers:
        check_main_guard(START)
    start = partial(_start_worker, os.getpid())
    options: dict[str, Any] = {"multiprocessing_context": START, "worker_init_fn": start} if workers else {}
    sampler: Any = wanted  # any iterable will do
    items = iter(DataLoader(micro_batches, batch_size=None, sampler=sampler, num_workers=workers, **options))
    for item in items:
        if isinstance(item, AffectGPTError):
            raise item
        if isinstance(item, BrokenClip):
            raise DataError.of(
                [Problem(f"clip {item.name} can no longer be read", hint="mend it, then resume"), item.problem]
            )
        yield item


@contextmanager
def told_of_dead_readers() -> Iterator[None]:
    """A worker's death, which torch raises wherever the training process is at that moment, becomes a RunError."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(
            "a process that reads clips ended",
            found=str(error).splitlines()[0],
            hint="it may have run out of memory: use fewer workers, then resume",
        ) from error


def _start_worker(parent: int, _: int) -> None:
    end_with(parent)
    # Both may reach the whole group: the training process decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_at_the_second)


def _end_at_the_second(number: int, frame: FrameType | None) -> None:
    # The second comes from the training process itself, when it is done.
    signal.signal(number, signal.SIG_DFL)
