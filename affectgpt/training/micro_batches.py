"""Build micro-batches in this process or in workers, with the same result."""

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
from affectgpt.core.config import PipelineConfig
from affectgpt.core.plan import Plan
from affectgpt.data.samples import BrokenClip, Sample
from affectgpt.registry.errors import AffectGPTError, DataError, Problem, RunError
from affectgpt.training.modality_dropout import ModalityDropout
from affectgpt.training.targets import LabelledClip, answer_and_question
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import START_METHOD, exit_with_parent, leave_signals_to_parent
from affectgpt.workers.prefetch import CLIP_SECONDS


class Samples(Protocol):
    """Clips by index: a list of [Sample][], or an object that decodes or reads one on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class BatchRequest:
    """The clips of a micro-batch, and the seed of its random numbers."""

    clips: tuple[int, ...]
    seed: int


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """The input of one forward pass: clips, and for each the answer to learn and the question."""

    batch: Batch
    answers: list[str]
    questions: list[str]


class MicroBatchDataset(Dataset[Any]):
    """Builds the [MicroBatch][] of a [BatchRequest][]; for a broken clip, returns its [BrokenClip][] or error instead.

    `modality_dropout` is the chance that a clip loses a modality.
    """

    def __init__(self, samples: Samples, plan: Plan, modality_dropout: float) -> None:
        self.samples, self.plan = samples, plan
        self.dropout = ModalityDropout(plan, modality_dropout)

    def __getitem__(self, request: BatchRequest) -> MicroBatch | BrokenClip | AffectGPTError:
        try:
            return self._build(request)
        except AffectGPTError as error:
            # Return the error: DataLoader would re-raise it with a traceback in its message.
            return error

    def _build(self, request: BatchRequest) -> MicroBatch | BrokenClip:
        chosen: list[Sample] = []
        for index in request.clips:
            sample = self.samples[index]
            if isinstance(sample, BrokenClip):
                return sample
            chosen.append(sample)
        draw = random.Random(request.seed)
        answers = draw_answers(chosen, self.plan.config, draw)
        chosen = [self.dropout.apply(sample, draw) for sample in chosen]
        batch = collate([sample.media for sample in chosen], [sample.subtitle for sample in chosen])
        return MicroBatch(batch, [answer for answer, _ in answers], [question for _, question in answers])


def draw_answers(clips: Iterable[LabelledClip], config: PipelineConfig, draw: random.Random) -> list[tuple[str, str]]:
    """The answers of a micro-batch's `clips`, with their questions. They are drawn before all else, from `draw` as the
    request's seed makes it: so their texts are known without the clips' media.
    """
    return [answer_and_question(clip, config.training.target, config.prompt, draw) for clip in clips]


def load_micro_batches(
    micro_batches: MicroBatchDataset, requests: Iterable[BatchRequest], workers: int
) -> Generator[MicroBatch, None, None]:
    """Iterate over the micro-batches in order, prefetched by `workers` processes (0: built in this process).

    Raises DataError for a clip that cannot be read; use it inside [worker_death_as_error][].
    """
    if workers:
        check_main_guard(START_METHOD)
    start = partial(_start_worker, os.getpid())
    options: dict[str, Any] = {}
    if workers:
        options = {"multiprocessing_context": START_METHOD, "worker_init_fn": start, "timeout": CLIP_SECONDS}
    sampler: Any = requests  # DataLoader takes any iterable
    items = iter(DataLoader(micro_batches, batch_size=None, sampler=sampler, num_workers=workers, **options))
    for item in items:
        if isinstance(item, AffectGPTError):
            raise item
        if isinstance(item, BrokenClip):
            raise DataError.from_problems(
                [Problem(f"clip {item.name} can no longer be read", hint="mend it, then resume"), item.problem]
            )
        yield item


@contextmanager
def worker_death_as_error() -> Iterator[None]:
    """Turn torch's error for a dead worker, raised anywhere in the training process, into a RunError."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) and "DataLoader timed out" not in str(error):
            raise
        raise RunError(
            "a worker that reads clips ended" if "worker" in str(error) else "a worker that reads clips hangs",
            found=str(error).splitlines()[0],
            hint="it may have run out of memory: use fewer workers, then resume",
        ) from error


def _start_worker(parent: int, _: int) -> None:
    exit_with_parent(parent)
    # Signals may reach the whole process group; the training process decides when to stop.
    leave_signals_to_parent()
    signal.signal(signal.SIGTERM, _exit_on_second_signal)


def _exit_on_second_signal(number: int, frame: FrameType | None) -> None:
    # The second signal comes from the training process, when it ends.
    signal.signal(number, signal.SIG_DFL)
