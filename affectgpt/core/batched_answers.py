"""Answers for many clips, in batches of prompts of similar length; results are in the order of the clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import torch

from affectgpt.core.batch import collate
from affectgpt.core.generation import Answer
from affectgpt.core.influence import influence
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.tokens import Prepared

BATCHES, CLIPS = 4, 64
"""Batches in a window, as long as it holds no more than so many clips: clips are moved within a window, no further."""


class PreparedClip(Protocol):
    """A clip that was read and prepared."""

    @property
    def media(self) -> Mapping[str, Prepared | None]: ...
    @property
    def subtitle(self) -> str: ...


Clip = TypeVar("Clip")


def subtitle_notes(pipeline: Pipeline, subtitle: str) -> list[str]:
    """A note when the LLM does not read all of a clip's subtitle, else none."""
    count, total = pipeline.subtitle_tokens(subtitle)
    return [f"the model read {count} of {total} tokens of the subtitle"] if count < total else []


@dataclass(frozen=True)
class AnswerWithShares:
    """A clip's `answer`, and the share of each modality in it (see [influence][]), {} where it was not asked for."""

    answer: Answer
    counted: dict[str, float | None]


def window_size(batch_size: int) -> int:
    """The number of clips among which batches of `batch_size` are made; one clip at a time has no company to choose."""
    return max(batch_size, min(batch_size * BATCHES, CLIPS)) if batch_size > 1 else 1


def group_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of `size` of like `lengths`, each index once; where all are full, none have less padding.

    The longest come first, so that memory that does not suffice is missed at once.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[start : start + size] for start in range(0, len(order), size)]


def windows(clips: Iterable[Clip], batch_size: int) -> Iterator[list[Clip]]:
    """The clips in order, a window at a time, read no further than that."""
    iterator = iter(clips)
    while window := list(islice(iterator, window_size(batch_size))):
        yield window


@torch.no_grad()
def answer_window(
    pipeline: Pipeline,
    window: Sequence[PreparedClip],
    batch_size: int,
    question: str | None = None,
    *,
    shares: bool = True,
) -> list[AnswerWithShares]:
    """Answer the clips of a window, `batch_size` at a time, in the order of `window`.

    With `shares` it is measured what counted. Each encoder runs once a clip.
    """
    lengths = [pipeline.prompt_length(clip.media, clip.subtitle, question) for clip in window]
    answers: dict[int, AnswerWithShares] = {}
    for indices in group_by_length(lengths, batch_size):
        chosen = [window[index] for index in indices]
        batch = collate([clip.media for clip in chosen], [clip.subtitle for clip in chosen]).to(pipeline.device)
        encoded = pipeline.encode(batch, one_by_one=True)
        generated = pipeline.generate(batch, question, encoded=encoded)
        texts = [answer.text for answer in generated]
        counted = influence(pipeline, batch, texts, question, encoded=encoded) if shares else [{} for _ in texts]
        answers |= {
            index: AnswerWithShares(*answer)
            for index, answer in zip(indices, zip(generated, counted, strict=True), strict=True)
        }
    return [answers[index] for index in range(len(window))]
