from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from affectgpt.core.config import PromptConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample, Target
from affectgpt.registry.errors import DataError
from affectgpt.training.targets import answer_and_question, check_answer_lengths

PROMPT = PromptConfig(
    template="{a} {question}", question="Why?", labels_question="Which?", labels_answer="They are {labels}."
)
BOTH = Sample("a", {}, "", "A smile.", ("glad", "proud"))


@pytest.mark.parametrize(
    ("target", "sample", "expected"),
    [
        ("description", BOTH, ("A smile.", "Why?")),
        ("labels", BOTH, ("They are glad, proud.", "Which?")),
        ("mixed", Sample("a", {}, "", "A smile."), ("A smile.", "Why?")),
        ("mixed", Sample("a", {}, "", "", ("glad",)), ("They are glad.", "Which?")),
    ],
)
def test_what_is_learned(target: Target, sample: Sample, expected: tuple[str, str]) -> None:
    chances = random.Random(0)
    assert {answer_and_question(sample, target, PROMPT, chances) for _ in range(20)} == {expected}


def test_mixed_takes_each_as_often() -> None:
    chances = random.Random(0)
    question = [answer_and_question(BOTH, "mixed", PROMPT, chances)[1] for _ in range(1000)]
    assert 450 < question.count("Why?") < 550 and set(question) == {"Why?", "Which?"}


def test_without_a_question_for_labels_the_one_question_is_asked() -> None:
    prompt = PromptConfig(template="{a} {question}", question="Why?")
    assert answer_and_question(BOTH, "labels", prompt, random.Random(0)) == ("glad, proud", "Why?")


def test_an_answer_that_does_not_fit_is_refused_by_the_clips_name(build: Callable[..., Pipeline]) -> None:
    context = "llm.architecture.max_position_embeddings=128"
    pipeline = build(context)
    budget = pipeline.plan.budget
    room = budget.context - budget.nodes - budget.text - budget.subtitle
    # Tokens are bytes here; one more ends the answer.
    check_answer_lengths(pipeline, [Sample("a", {}, "", "x" * (room - 1))])
    with pytest.raises(DataError, match=f"1 answers do not fit[\\s\\S]*long[\\s\\S]*at most {room} tokens"):
        check_answer_lengths(pipeline, [Sample("short", {}, "", "x"), Sample("long", {}, "", "x" * room)])
    # With labels, their own question and their own wording count.
    labels = build(context, "training.target=mixed", "prompt.labels_question='Which words?'")
    longer = room - len("Which words?") + len("Why?")
    check_answer_lengths(labels, [Sample("a", {}, "", "x" * (room - 1), ("y" * (longer - 1),))])
    with pytest.raises(DataError):
        check_answer_lengths(labels, [Sample("a", {}, "", "x", ("y" * longer,))])
    # So do the end of an answer and the words that only training puts before the prompt.
    for extra in ("prompt.answer_end='##'", "prompt.training_prefix='##'"):
        check_answer_lengths(build(context, extra), [Sample("a", {}, "", "x" * (room - 3))])
        with pytest.raises(DataError):
            check_answer_lengths(build(context, extra), [Sample("a", {}, "", "x" * (room - 2))])
