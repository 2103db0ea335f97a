"""Equality with what the official scripts computed, to 1e-12, NaN cases included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from affectgpt.unibench.metrics.hit_rate import HitRate
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.metrics.sentiment import SentimentScore
from affectgpt.unibench.wheels.official import OfficialWheels

Oracle = Callable[[str], Any]
Equal = Callable[[float, Any], bool]
CASES = {"forms": "case1", "synonyms": "case2"}


def check_overlap(
    wheels: OfficialWheels, equal: Equal, true: Any, predictions: Any, names: list[str], expected: Any
) -> None:
    metric = WheelOverlap(SectorTable(wheels))
    sums = metric.terms([true[name] for name in names], [predictions[name] for name in names]).sum(axis=0)
    by_column, figures = metric.by_column(sums), metric.figures(sums)
    for index, column in enumerate(metric.columns):
        case = CASES.get(column.name, f"case3_{column.name}_level{column.level}")
        expected_figures = expected[f"level{column.level}"]["per_wheel"][case] if column.level else expected[case]
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "fscore")):
            if theirs in expected_figures:
                assert equal(by_column[ours][index], expected_figures[theirs]), (column, ours)
        assert by_column["clips"][index] == expected["kept_samples"][case]
    for level, suffix in ((1, ""), (2, "_level_2")):
        mean = expected[f"level{level}"]["avg"]
        assert equal(figures["f1" + suffix], mean["fscore"])
        assert equal(figures["precision" + suffix], mean["precision"])
        assert equal(figures["recall" + suffix], mean["recall"])
    assert equal(figures["f1_levels_1_2"], expected["track2_avg_of_level1_level2_fscore"])


def test_open_vocabulary(official: OfficialWheels, oracle: Oracle, equal: Equal) -> None:
    true, predicted, expected = oracle("ov_gt"), oracle("ov_pred"), oracle("ov_expected")
    assert len(true) == 425
    check_overlap(official, equal, true, predicted, list(true), expected["all"])
    check_overlap(official, equal, true, predicted, oracle("ov_subset_names"), expected["subset(process_names)"])


def test_open_vocabulary_without_a_value(official: OfficialWheels, oracle: Oracle, equal: Equal) -> None:
    cases = oracle("ov_degenerate")
    assert len(cases) >= 4
    for case in cases.values():
        check_overlap(official, equal, case["gt"], case["pred"], list(case["gt"]), case["expected"])


@pytest.mark.parametrize("dataset", ["MER2023", "MER2024", "IEMOCAPFour", "MELD"])
def test_hit_rate(official: OfficialWheels, oracle: Oracle, equal: Equal, dataset: str) -> None:
    fixture, expected = oracle(f"hit_{dataset}"), oracle(f"hit_{dataset}_expected")
    metric = HitRate(SectorTable(official), fixture["gt"].values())
    sums = metric.terms(list(fixture["gt"].values()), [fixture["pred"][name] for name in fixture["gt"]]).sum(axis=0)
    by_column, figures = metric.by_column(sums), metric.figures(sums)
    for index, column in enumerate(metric.columns):
        expected_figures = expected["per_wheel"][f"case3_{column.name}_level1"]
        assert equal(by_column["hit_rate"][index], expected_figures["hitrate"])
        assert equal(by_column["hit_share"][index], expected_figures["mscore"])
        assert by_column["clips"][index] == expected_figures["kept"]
    assert equal(figures["hit_rate"], expected["avg"]["hitrate"])
    assert equal(figures["hit_share"], expected["avg"]["mscore"])


@pytest.mark.parametrize("dataset", ["CMUMOSI", "CMUMOSEI", "SIMS", "SIMSv2"])
def test_sentiment(oracle: Oracle, equal: Equal, dataset: str) -> None:
    fixture, expected = oracle(f"sent_{dataset}"), oracle(f"sent_{dataset}_expected")
    metric = SentimentScore()
    values = list(fixture["labels"].values())
    sums = metric.terms(values, [fixture["pred"][name] for name in fixture["labels"]]).sum(axis=0)
    figures = metric.figures(sums)
    assert equal(figures["weighted_f1"], expected["waf_weighted_f1"]) and equal(figures["accuracy"], expected["acc"])
    assert sums[-1] == expected["n_nonzero"]
