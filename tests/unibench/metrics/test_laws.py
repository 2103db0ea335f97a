"""What must hold for any labels, on miniature wheels; the metrics against a loop that follows the definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.registry.errors import DataError
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.metrics import sector_table
from affectgpt.unibench.metrics.hit_rate import HitRate
from affectgpt.unibench.metrics.metric import f_score
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.metrics.sentiment import SentimentScore
from affectgpt.unibench.wheels.wheel_set import Wheel, WheelSet

# Every word has one sector per level; the second of each pair is a synonym of the first everywhere.
PLACES = {
    "glad": ("up", "merry"),
    "happy": ("up", "merry"),
    "proud": ("up", "bold"),
    "brave": ("up", "bold"),
    "low": ("down", "gloomy"),
    "sad": ("down", "gloomy"),
    "cross": ("hot", "angry"),
    "mad": ("hot", "angry"),
}
SYNONYM = {"glad": "happy", "proud": "brave", "low": "sad", "cross": "mad"}
WORDS = [*PLACES, "unheard", "neutral"]


def find_sector(word: str, level: int) -> str | None:
    return PLACES[word][level - 1] if word in PLACES else None


def _narrow(word: str, level: int) -> str | None:
    return None if PLACES.get(word, ("hot",))[0] == "hot" else find_sector(word, level)


WHEELS = WheelSet("test", (Wheel("wide", {}, find_sector), Wheel("narrow", {}, _narrow)), "", False, "")
labels = st.lists(st.sampled_from(WORDS), max_size=6)
clips = st.lists(st.tuples(labels, labels), min_size=1, max_size=12)
Clips = list[tuple[list[str], list[str]]]


def figures_of(clips: Clips) -> dict[str, float]:
    metric = WheelOverlap(SectorTable(WHEELS))
    terms = metric.terms([true for true, _ in clips], [predicted for _, predicted in clips])
    return {name: float(value) for name, value in metric.figures(terms.sum(axis=0)).items()}


def equal(first: dict[str, float], second: dict[str, float], *, but: str = "") -> bool:
    return all(
        np.isclose(first[name], second[name], rtol=0, atol=1e-12, equal_nan=True) for name in first if name != but
    )


def by_the_definition(clips: Clips, level: int) -> tuple[float, float, float]:
    scores = []
    for sector in (find_sector, _narrow):
        precision, recall = [], []
        for true, predicted in clips:
            true_sectors = {value for label in true if (value := sector(label, level))}
            predicted_sectors = {value for label in predicted if (value := sector(label, level))}
            if true_sectors:
                both = len(true_sectors & predicted_sectors)
                precision.append(both / len(predicted_sectors) if predicted_sectors else 0.0)
                recall.append(both / len(true_sectors))
        p, r = (sum(value) / len(value) if value else math.nan for value in (precision, recall))
        scores.append((p, r, 2 * p * r / (p + r) if p + r else math.nan))
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1]), float(means[2])


@given(clips)
def test_the_overlap_is_what_its_definition_says(clips: Clips) -> None:
    figures = figures_of(clips)
    for level, suffix in ((1, ""), (2, "_level_2")):
        ours = [figures[name + suffix] for name in ("precision", "recall", "f1")]
        assert np.allclose(ours, by_the_definition(clips, level), rtol=0, atol=1e-12, equal_nan=True)
    assert figures["labels_per_clip"] == pytest.approx(sum(len(predicted) for _, predicted in clips) / len(clips))


@given(clips, st.randoms(use_true_random=False))
def test_the_order_of_labels_and_clips_is_nothing(clips: Clips, random: Any) -> None:
    mixed = [(random.sample(true, len(true)), random.sample(predicted, len(predicted))) for true, predicted in clips]
    random.shuffle(mixed)
    assert equal(figures_of(clips), figures_of(mixed))


@given(clips)
def test_a_synonym_of_a_label_that_is_there_adds_nothing(clips: Clips) -> None:
    more = [
        (
            [*true, *(SYNONYM[label] for label in true if label in SYNONYM)],
            [*predicted, *(SYNONYM[label] for label in predicted if label in SYNONYM)],
        )
        for true, predicted in clips
    ]
    assert equal(figures_of(clips), figures_of(more), but="labels_per_clip")


@given(clips)
def test_unknown_words_and_repeats_add_nothing(clips: Clips) -> None:
    more = [([*true, "unheard"], [*predicted, *predicted, "neutral"]) for true, predicted in clips]
    assert equal(figures_of(clips), figures_of(more), but="labels_per_clip")


@given(clips)
def test_the_truth_itself_scores_1(clips: Clips) -> None:
    figures = figures_of([(true, true) for true, _ in clips])
    for name in ("f1", "precision", "recall"):
        assert figures[name] == 1 or math.isnan(figures[name])


@given(clips)
def test_exchanging_truth_and_prediction_exchanges_precision_and_recall(clips: Clips) -> None:
    # Clips that are empty on either side on some wheel are left out on one side only.
    scorable = [
        (true, predicted)
        for true, predicted in clips
        if all(_narrow(w[0], 1) for w in (true, predicted) if w) and true and predicted
    ]
    if scorable:
        one, second = figures_of(scorable), figures_of([(predicted, true) for true, predicted in scorable])
        assert one["precision"] == pytest.approx(second["recall"], nan_ok=True)
        assert one["f1"] == pytest.approx(second["f1"], nan_ok=True)


@given(clips)
def test_case_blanks_and_the_way_of_writing_are_nothing(clips: Clips) -> None:
    written = [
        (f"[{', '.join(true)}]", str([f" {label.upper()} " for label in predicted])) for true, predicted in clips
    ]
    metric = WheelOverlap(SectorTable(WHEELS))
    terms = metric.terms([true for true, _ in written], [predicted for _, predicted in written])
    assert equal(figures_of(clips), {name: float(value) for name, value in metric.figures(terms.sum(axis=0)).items()})


texts = st.lists(st.text("ab,'\"[] \x1e", max_size=8), max_size=6)


@given(texts)
def test_cells_are_cut_at_once_as_one_by_one(cells: list[str]) -> None:
    table = SectorTable(WheelSet("t", (Wheel("w", {}, lambda word, level: word),), "", False, ""))
    try:
        expected = [[label.lower().strip() for label in parse_labels(cell)] for cell in cells]
    except DataError:
        with pytest.raises(DataError):
            table.read(cells)
        return
    written = table.read(cells)
    assert written.counts.tolist() == [len(value) for value in expected]
    sets = table.indicator(table.sets(written), 0)
    names = np.array(table.sectors[0], dtype=object)
    assert [set(names[row]) for row in sets] == [set(value) for value in expected]


def test_a_column_of_more_sectors_than_a_word_has_bits() -> None:
    table = SectorTable(
        WheelSet("t", (Wheel("w", {}, lambda word, level: word if level == 1 else "one"),), "", False, "")
    )
    written = table.read([[f"w{i}" for i in range(start, start + 100)] for start in (0, 50)])
    sets = table.sets(written)
    assert table.sizes(sets).tolist() == [[100, 1], [100, 1]]
    assert table.sizes(sets[:1] & sets[1:]).tolist() == [[50, 1]]


def test_what_is_remembered_of_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sector_table, "_CACHE_SIZE", 10)
    table = SectorTable(WHEELS)
    for start in range(0, 200, 7):
        written = table.read([", ".join(f"word {i}" for i in range(start, start + 7)) + ", glad"])
        assert table.sizes(table.sets(written)).tolist() == [[1, 1, 1, 1]]
        assert len(table._row_cache) <= 10


def hits(true: Sequence[str], predictions: Sequence[Any]) -> dict[str, float]:
    metric = HitRate(SectorTable(WHEELS), true)
    return {name: float(value) for name, value in metric.figures(metric.terms(true, predictions).sum(axis=0)).items()}


one_label = st.sampled_from(["glad", "low", "proud", "sad"])


@given(st.lists(st.tuples(one_label, labels), min_size=1, max_size=10))
def test_naming_more_never_lowers_the_hit_rate_and_the_count_shows_it(clips: list[tuple[str, list[str]]]) -> None:
    true, predicted = [label for label, _ in clips], [labels for _, labels in clips]
    before, after = hits(true, predicted), hits(true, [[*labels, *PLACES] for labels in predicted])
    assert after["hit_rate"] == 1 >= before["hit_rate"]
    assert after["labels_per_clip"] == pytest.approx(before["labels_per_clip"] + len(PLACES))
    # On the wide wheel all three sectors are named, on the narrow one both.
    assert after["precision"] == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_f1_of_hits_is_0_without_a_hit_and_the_official_one_has_no_value() -> None:
    assert hits(["glad"], [["sad"]])["f1"] == 0
    assert math.isnan(f_score(np.array(0.0), np.array(0.0)))


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.sampled_from(["positive", "negative", "neutral", "", "Positive"])), min_size=1
    )
)
def test_sentiment_is_what_scikit_learn_would_say(clips: list[tuple[float, str]]) -> None:
    metric = SentimentScore()
    sums = metric.terms([value for value, _ in clips], [predicted for _, predicted in clips]).sum(axis=0)
    figures = {name: float(value) for name, value in metric.figures(sums).items()}
    counted = [(value > 0, predicted == "positive") for value, predicted in clips if value != 0]
    if not counted:
        assert all(math.isnan(value) for value in figures.values())
        return
    weighted = 0.0
    for truth in (True, False):
        right = sum(t == s == truth for t, s in counted)
        predicted, true = sum(s == truth for _, s in counted), sum(t == truth for t, _ in counted)
        weighted += true / len(counted) * (2 * right / (predicted + true) if predicted + true else 0.0)
    assert figures["weighted_f1"] == pytest.approx(weighted)
    assert figures["accuracy"] == pytest.approx(sum(t == s for t, s in counted) / len(counted))
