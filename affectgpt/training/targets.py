"""The answer to learn for a clip and its question: a description, labels, or one of the two at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from affectgpt.core.config import PromptConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.prompt_ids import start_ids
from affectgpt.data.samples import Target
from affectgpt.registry.errors import DataError
from affectgpt.registry.messages import count_and_first


class LabelledClip(Protocol):
    """Name and texts of a clip: a [Sample][] or an [Example][]."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def subtitle(self) -> str: ...


def answer_and_question(
    sample: LabelledClip, target: Target, prompt: PromptConfig, chance: random.Random
) -> tuple[str, str]:
    """The answer to learn and the question that it answers.

    For a clip with both, `mixed` takes description or labels with equal probability, as the released AffectGPT's
    training does. Labels are joined by commas in the config's `labels_answer`.
    """
    labels = target == "labels" or (target == "mixed" and not sample.description)
    if target == "mixed" and sample.description and sample.labels:
        labels = chance.random() < 0.5
    return _labels_answer(sample, prompt) if labels else (sample.description, prompt.question)


def cut_subtitles_note(pipeline: Pipeline, clips: Sequence[LabelledClip]) -> str:
    """How many of the clips' subtitles the LLM reads only the beginning of; "" for none."""
    if not any(part.kind == "subtitle" for part in pipeline.plan.parts):
        return ""
    counts = [pipeline.subtitle_tokens(clip.subtitle) for clip in clips]
    cut = sum(count < total for count, total in counts)
    limit = pipeline.plan.config.prompt.max_subtitle_tokens
    return f"{cut} of {len(clips)} subtitles are cut: the model reads their first {limit} tokens" if cut else ""


def check_answer_lengths(pipeline: Pipeline, clips: Sequence[LabelledClip]) -> None:
    """Raise DataError when an answer that may be learned and the longest prompt exceed the LLM's context.

    Raises ConfigError when a question of the config and the longest answer to generate do: the model could be trained,
    and never describe.
    """
    config, budget = pipeline.plan.config, pipeline.plan.budget
    prompt = config.prompt
    pipeline.check_question(prompt.question, config.location(("prompt", "question")))
    if config.training.target != "description" and prompt.labels_question:
        pipeline.check_question(prompt.labels_question, config.location(("prompt", "labels_question")))
    prefix = len(start_ids(pipeline.llm))
    prefix += len(pipeline.llm.encode(prompt.training_prefix, special=True)) if prompt.training_prefix else 0
    # The plan counts the text with the config's question, in bytes, which bound its tokens.
    room = budget.context - (budget.total - budget.answer) - prefix + _bytes(prompt.question)
    long = [
        clip.name
        for clip in clips
        if any(
            not _fits(pipeline, answer, room - _bytes(question))
            for answer, question in _possible_answers(clip, pipeline)
        )
    ]
    if long:
        question = max(_bytes(prompt.question), _bytes(prompt.labels_question or ""))
        raise DataError(
            f"{len(long)} answers do not fit into the LLM's context",
            found=count_and_first(long),
            expected=f"at most {max(0, room - question)} tokens each",
            hint="leave these clips out, or shorten their texts",
        )


def _labels_answer(sample: LabelledClip, prompt: PromptConfig) -> tuple[str, str]:
    answer = prompt.labels_answer.replace("{labels}", ", ".join(sample.labels))
    return answer, prompt.labels_question or prompt.question


def _possible_answers(clip: LabelledClip, pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    target, prompt = pipeline.plan.config.training.target, pipeline.plan.config.prompt
    if target != "labels" and clip.description:
        yield clip.description, prompt.question
    if target != "description" and clip.labels:
        yield _labels_answer(clip, prompt)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _fits(pipeline: Pipeline, answer: str, room: int) -> bool:
    text = answer + pipeline.plan.config.prompt.answer_end
    return _bytes(text) < room or len(pipeline.llm.encode(text, special=False)) < room
