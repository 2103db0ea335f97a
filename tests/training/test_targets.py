from __future__ import annotations

import random

import pytest

from affectgpt.core.config import PromptConfig
from affectgpt.data.clips import Sample, Target
from affectgpt.training.targets import answer_and_question

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
    asked = [answer_and_question(BOTH, "mixed", PROMPT, chances)[1] for _ in range(1000)]
    assert 450 < asked.count("Why?") < 550 and set(asked) == {"Why?", "Which?"}


def test_without_a_question_for_labels_the_one_question_is_asked() -> None:
    prompt = PromptConfig(template="{a} {question}", question="Why?")
    assert answer_and_question(BOTH, "labels", prompt, random.Random(0)) == ("glad, proud", "Why?")
