from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.synthetic.score import TextScore, score_texts
from affectgpt.synthetic.script import COMBINATIONS, PATTERNS, describe_combination

TRUTH = "They smile. Emotion: joy, happiness."
combinations = st.sampled_from(COMBINATIONS)


@given(st.lists(st.tuples(combinations, st.integers(0, PATTERNS - 1), st.integers(0, PATTERNS - 1)), min_size=1))
def test_the_true_labels_in_any_sentence_are_perfect(clips: list) -> None:
    texts, truths = ([describe_combination(each[0], each[which]) for each in clips] for which in (1, 2))
    assert score_texts(texts, truths) == TextScore(1.0, 1.0, len(clips))


@given(combinations, combinations)
def test_labels_of_another_emotion_score_nothing(answer: object, truth: object) -> None:
    score = score_texts([describe_combination(answer, 0)], [describe_combination(truth, 0)])  # type: ignore[arg-type]
    assert score == (TextScore(1.0, 1.0, 1) if answer == truth else TextScore(0.0, 0.0, 1))


@pytest.mark.parametrize(
    ("text", "exact", "f1"),
    [
        ("", 0, 0),
        ("joy, happiness", 0, 0),
        ("Emotion: .", 0, 0),
        ("Emotion: happiness, joy.", 0, 1),
        ("Emotion: joy.", 1, 2 / 3),
        ("Emotion: happiness.", 0, 2 / 3),
        ("Emotion: JOY, Happiness", 1, 1),
        ("Emotion: joy, joy, joy", 1, 2 / 3),
        ("Emotion: joy, anger.", 1, 1 / 2),
        ("Emotion: joy, happiness, anger, rage.", 1, 2 / 3),
        ("Emotion: anger. Emotion: joy, happiness.", 1, 1),
        ("Emotion: joy, happiness. Emotion: anger.", 0, 0),
    ],
)
def test_one_text(text: str, exact: float, f1: float) -> None:
    assert score_texts([text], [TRUTH]) == TextScore(pytest.approx(exact), pytest.approx(f1), 1)  # type: ignore[arg-type]


def test_scores_are_means_over_clips() -> None:
    score = score_texts(["Emotion: joy.", TRUTH, "", "Emotion: happiness, joy."], [TRUTH] * 4)
    assert (score.exact, score.f1, score.clips) == (2 / 4, pytest.approx((2 / 3 + 1 + 0 + 1) / 4), 4)


@pytest.mark.parametrize(("texts", "truths"), [([], []), (["a"], []), (["a"], [TRUTH, TRUTH])])
def test_texts_and_truths_must_pair(texts: list[str], truths: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(texts)} texts for {len(truths)} truths"):
        score_texts(texts, truths)


def test_a_truth_without_labels_is_no_crash() -> None:
    assert score_texts(["Emotion: joy."], ["They smile."]) == TextScore(0.0, 0.0, 1)
