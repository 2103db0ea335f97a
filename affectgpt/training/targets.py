"""What a model learns to say of a clip, and what it is asked: a description, labels, or one of the two at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from affectgpt.core.config import PromptConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Target
from affectgpt.registry.errors import DataError
from affectgpt.registry.messages import first_of


class Told(Protocol):
    """What is known of a clip: a [Sample][] or an [Example][]."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...


def answer_and_question(sample: Told, target: Target, prompt: PromptConfig, chance: random.Random) -> tuple[str, str]:
    """The answer to learn and the question that it answers.

    Of a clip that has both, `mixed` takes description or labels, each as likely (the released AffectGPT's training);
    of one that has only one, that one. Labels stand in a row in the config's `labels_answer`.
    """
    labels = target == "labels" or (target == "mixed" and not sample.description)
    if target == "mixed" and sample.description and sample.labels:
        labels = chance.random() < 0.5
    return _of_labels(sample, prompt) if labels else (sample.description, prompt.question)


def refuse_long_answers(pipeline: Pipeline, clips: Sequence[Told]) -> None:
    """Raise DataError when an answer that may be learned and the longest prompt exceed the LLM's context."""
    config, budget = pipeline.plan.config, pipeline.plan.budget
    prompt = config.prompt
    before = len(pipeline.llm.encode(prompt.training_prefix, special=True)) if prompt.training_prefix else 0
    # The plan counts the text with the config's question, in bytes, which bound its tokens.
    room = budget.context - (budget.total - budget.answer) - before + _bytes(prompt.question)
    long = [
        each.name
        for each in clips
        if any(not _fits(pipeline, answer, room - _bytes(asked)) for answer, asked in _possible(each, pipeline))
    ]
    if long:
        asked = max(_bytes(prompt.question), _bytes(prompt.labels_question or ""))
        raise DataError(
            f"{len(long)} answers do not fit into the LLM's context",
            found=first_of(long),
            expected=f"at most {max(0, room - asked)} tokens each",
            hint="leave these clips out, or shorten their texts",
        )


def _of_labels(sample: Told, prompt: PromptConfig) -> tuple[str, str]:
    said = prompt.labels_answer.replace("{labels}", ", ".join(sample.labels))
    return said, prompt.labels_question or prompt.question


def _possible(clip: Told, pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    target, prompt = pipeline.plan.config.training.target, pipeline.plan.config.prompt
    if target != "labels" and clip.description:
        yield clip.description, prompt.question
    if target != "description" and clip.labels:
        yield _of_labels(clip, prompt)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _fits(pipeline: Pipeline, answer: str, room: int) -> bool:
    text = answer + pipeline.plan.config.prompt.answer_end
    return _bytes(text) < room or len(pipeline.llm.encode(text, special=False)) < room
