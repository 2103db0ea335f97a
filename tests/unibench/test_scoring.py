from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench import scoring
from affectgpt.unibench.label_extraction import Prediction
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.resampling import Resampling
from affectgpt.unibench.result import DatasetResult
from affectgpt.unibench.scoring import DatasetScorer, ScoringRules
from affectgpt.unibench.truth import Task, Truth
from affectgpt.unibench.wheels.wheel_set import Wheel, WheelSet

WORDS = ("happy", "sad", "angry")
WHEELS = WheelSet("t", (Wheel("w", {}, lambda word, level: word if word in WORDS else None),), "", False, "")
READABLE = "the prediction is an error or could not be read"


def score(task: Task, true: Mapping[str, Any], predictions: Any, **rules: Any) -> DatasetResult:
    predictions = [Prediction(*each) if isinstance(each, tuple) else each for each in predictions]
    scorer = DatasetScorer(Truth("d", "D", task, true), SectorTable(WHEELS), Resampling(50), ScoringRules(**rules))
    return scorer.read(predictions)


def value(result: DatasetResult) -> float | None:
    return result.figures[result.primary].value


TRUE = {"a": ["happy"], "b": ["sad", "angry"], "c": [], "d": ["neutral"]}
SAID = [("a", ["happy"]), ("b", "[sad]"), ("c", ["sad"]), ("d", ["sad"])]


def test_clips_without_a_true_sector_are_excluded_and_counted() -> None:
    result = score("fine-grained", TRUE, SAID)
    assert result.clips == 2
    assert result.excluded == {"no true label": 1, "no true label has a place on the wheels": 1}
    assert result.figures["precision"].value == 1 and result.figures["recall"].value == 0.75
    assert result.per_wheel["w, level 1"]["clips"] == 2
    assert result.counted_wrong == result.notes == {}


def test_the_order_of_predictions_is_nothing() -> None:
    one, second = score("fine-grained", TRUE, SAID), score("fine-grained", TRUE, SAID[::-1])
    assert one.worst == second.worst and one.confusion == second.confusion
    for name, figure in one.figures.items():
        assert figure.value == pytest.approx(second.figures[name].value)


def test_missing_predictions_stop_are_excluded_or_wrong() -> None:
    with pytest.raises(DataError, match=r"1: b \(of 4 clips\)"):
        score("fine-grained", TRUE, [SAID[0], *SAID[2:]])
    left_out = score("fine-grained", TRUE, [SAID[0], *SAID[2:]], missing="exclude")
    assert left_out.clips == 1 and left_out.excluded["no prediction"] == 1 and value(left_out) == 1
    wrong = score("fine-grained", TRUE, [SAID[0], *SAID[2:]], missing="wrong")
    assert wrong.clips == 2 and wrong.counted_wrong == {"no prediction": 1} and wrong.figures["recall"].value == 0.5


def test_predictions_that_repeat_stop() -> None:
    with pytest.raises(DataError, match="a 2 times"):
        score("fine-grained", TRUE, [*SAID, SAID[0]])


def test_unknown_clips_are_left_out_and_counted() -> None:
    result = score("fine-grained", TRUE, [*SAID, ("x", ["happy"]), ("y", [])])
    assert result.notes == {"predictions of unknown clips, left out": 2}
    assert value(result) == value(score("fine-grained", TRUE, SAID))


def test_unreadable_predictions_are_wrong_or_excluded() -> None:
    predictions = [Prediction("a", [], "gibberish", "no list"), *SAID[1:]]
    wrong = score("fine-grained", TRUE, predictions)
    assert wrong.clips == 2 and wrong.counted_wrong == {READABLE: 1} and wrong.figures["recall"].value == 0.25
    left_out = score("fine-grained", TRUE, predictions, unreadable="exclude")
    assert left_out.clips == 1 and left_out.excluded[READABLE] == 1 and left_out.figures["recall"].value == 0.5
    assert wrong.worst[0].id == "a" and wrong.worst[0].text == "no list"


def test_an_unreadable_sentiment_is_never_right_and_never_neutral() -> None:
    true = {"a": 1.0, "b": -1.0, "c": 0.0}
    predictions = [Prediction("a", "", "?", "no answer"), Prediction("b", "", "?", "no answer"), ("c", "neutral")]
    result = score("sentiment", true, predictions)
    assert result.figures["accuracy"].value == 0 and result.figures["neutral_rate"].value == 0
    assert result.counted_wrong == {READABLE: 2} and result.excluded == {"the true value is 0": 1} and result.clips == 2


def test_given_sentiments_that_are_none_count_as_the_official_scripts_count_them_and_are_shown() -> None:
    true = {"a": 1.0, "b": -1.0, "c": 1.0, "d": -1.0}
    result = score("sentiment", true, [("a", "Positive"), ("b", "mixed"), ("c", "positive"), ("d", "negative")])
    assert result.figures["accuracy"].value == 0.75
    assert result.notes == {"values that are none of positive, negative and neutral, counted as not positive": 2}
    assert result.confusion == () and result.per_wheel == {}


def test_a_file_without_a_single_sentiment_is_refused() -> None:
    with pytest.raises(DataError, match='read="text"'):
        score("sentiment", {"a": 1.0, "b": -1.0}, [("a", ["happy"]), ("b", "sad")])


def test_basic_labels_hit_or_miss() -> None:
    true = {"a": "happy", "b": "sad", "c": "neutral"}
    result = score("basic", true, [("a", ["happy", "sad"]), ("b", []), ("c", ["neutral"])])
    assert value(result) == 0.5 and result.figures["precision"].value == 0.25
    assert result.excluded == {"no true label has a place on the wheels": 1} and result.clips == 2
    assert result.figures["labels_per_clip"].value == 1


def test_the_worst_clips_come_first_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK", 3)
    true = {f"c{i}": ["happy"] for i in range(10)}
    predictions = [
        (f"c{i}", ["happy"] if i == 5 else ["happy", "sad"] if i == 7 else ["sad"], f"text {i}") for i in range(10)
    ]
    result = score("fine-grained", true, predictions, worst=4)
    assert [(clip.id, clip.text) for clip in result.worst] == [(f"c{i}", f"text {i}") for i in range(4)]
    assert result.worst[0].score == 0 and result.worst[0].predicted == ("sad",) and result.worst[0].true == ("happy",)
    every = score("fine-grained", true, predictions, worst=99)
    assert [clip.id for clip in every.worst][-1] == "c7" and every.worst[-1].score == pytest.approx(2 / 3)


def test_a_cell_that_is_no_set_of_labels_is_named() -> None:
    with pytest.raises(DataError, match="D, b"):
        score("fine-grained", TRUE, [SAID[0], ("b", "["), *SAID[2:]])
    with pytest.raises(DataError, match="D, b"):
        score("fine-grained", TRUE, [SAID[0], ("b", 3), *SAID[2:]])


def test_no_clip_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no clip to score"):
        score("fine-grained", TRUE, [], missing="exclude")


def test_what_does_not_count_is_not_counted_as_wrong() -> None:
    predictions = [
        ("a", ["happy"]),
        ("b", "[sad]"),
        Prediction("c", [], "", "broken"),
        Prediction("d", [], "", "broken"),
    ]
    result = score("fine-grained", TRUE, predictions)
    assert result.counted_wrong == {} and result.clips == 2 and sum(result.excluded.values()) == 2
    result = score("sentiment", {"a": 1.0, "b": 0.0}, [("a", "positive"), Prediction("b", "", "", "broken")])
    assert result.counted_wrong == {} and result.excluded == {"the true value is 0": 1}
    result = score("fine-grained", TRUE, [], missing="wrong")
    assert result.counted_wrong == {"no prediction": 2} and result.clips == 2


def test_labels_without_a_place_are_told() -> None:
    result = score("basic", {"a": "happy", "b": "sad"}, [("a", ["he is happy"]), ("b", [])])
    assert result.notes == {"predictions with labels none of which has a place on the wheels": 1}


def test_labels_without_a_place_beside_others_are_told() -> None:
    true = {"a": ["happy", "xyzzy"], "b": ["sad"], "c": ["angry"]}
    result = score("fine-grained", true, [("a", ["happy"]), ("b", ["sad", "xyzzy", "plugh"]), ("c", "[angry, angry]")])
    assert result.notes == {
        "predictions with labels some of which have no place on the wheels and were left out": 1,
        "clips with true labels some of which have no place on the wheels and were left out": 1,
    }
    result = score("fine-grained", true, [("a", ["happy", "sad."]), ("b", ["sad"]), ("c", "[angry]")])
    assert sum(count for note, count in result.notes.items() if note.startswith("predictions")) == 1
    plain = score("fine-grained", true, [("a", ["happy"]), ("b", ["sad"]), ("c", "[angry]")])
    assert result.figures["recall"] == plain.figures["recall"]


def test_a_sentiment_of_any_shape_is_no_sentiment() -> None:
    true = {"a": 1.0, "b": -1.0, "c": 2.0, "d": 1.0}
    for odd in ({"x": 1}, [0.5], "[", 10**400, None):
        result = score("sentiment", true, [("a", odd), ("b", odd), ("c", "positive"), ("d", "positive")])
        assert sum(result.notes.values()) == 2 and result.figures["accuracy"].value == 0.75
        assert result.worst[0].id == "a"


def test_large_predictions_are_scored_a_few_at_a_time_and_shown_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    add = DatasetScorer._add
    monkeypatch.setattr(
        DatasetScorer, "_add", lambda self, predictions: (sizes.append(len(predictions)), add(self, predictions))[1]
    )
    monkeypatch.setattr(scoring, "LARGEST_CHUNK", 10_000)
    true = {str(i): ["happy"] for i in range(20)}
    result = score("fine-grained", true, [(str(i), ["sad"] * 1000, "text " * 500) for i in range(20)])
    assert max(sizes) <= 2 and sum(sizes) == 20
    assert len(result.worst[0].text) < 2100 and len(result.worst[0].predicted) == 100


def test_predictions_of_other_clips_altogether_are_told_with_both_ids() -> None:
    with pytest.raises(DataError, match=r"predictions of folder/a\.mp4, \.\.\.; truth of a, b"):
        score("fine-grained", TRUE, [("folder/a.mp4", ["happy"])])


def test_synthetic_clips_are_told() -> None:
    truth = Truth("d", "D", "fine-grained", TRUE, synthetic=True)
    scorer = DatasetScorer(truth, SectorTable(WHEELS), Resampling(0), ScoringRules())
    result = scorer.read([Prediction(*each) for each in SAID])
    assert [note for note in result.notes if "synthetic" in note] and result.clips == 2
