"""A report shows what bears on its scores: no published scores of other data sets, no wheels where none has a part."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from affectgpt.unibench.report import interval_plot, published, summary
from affectgpt.unibench.report.html import render_html
from affectgpt.unibench.report.latex import render_latex
from affectgpt.unibench.report.markdown import render_markdown
from affectgpt.unibench.report.terminal import print_result
from affectgpt.unibench.result import BenchmarkResult, Figure


def printed(result: BenchmarkResult) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=140))
    return out.getvalue()


FORMATS: dict[str, Callable[[BenchmarkResult], str]] = {
    "terminal": printed,
    "markdown": render_markdown,
    "latex": render_latex,
    "html": render_html,
}
OTHERS = {f"{score:.2f}" for system in published.SYSTEMS for score in (*system.scores.values(), system.mean)}


@pytest.fixture(params=FORMATS)
def render(request: pytest.FixtureRequest) -> Callable[[BenchmarkResult], str]:
    """Each way to render a result to text, on one line."""
    return lambda result: " ".join(FORMATS[request.param](result).split())


@pytest.fixture
def elsewhere(full_result: BenchmarkResult) -> BenchmarkResult:
    """A data set that is none of the nine, on official wheels."""
    data = replace(full_result.datasets[0], dataset="mine", title="Mine")
    return replace(full_result, system="sys", datasets=(data,), mean=None, incomplete="0 of 9 are here", comparisons=())


@pytest.fixture
def sentiment(full_result: BenchmarkResult) -> BenchmarkResult:
    """Sentiment data sets, which leave the wheels unused; figures of wheels that they should not have."""
    wheels, confusion = full_result.datasets[0].per_wheel, full_result.datasets[0].confusion
    datasets = tuple(
        replace(each, per_wheel=wheels, confusion=confusion, excluded={}) for each in full_result.datasets[5:]
    )
    return replace(full_result, datasets=datasets, mean=None, incomplete="4 of 9 are here", official_wheels=False)


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<![\d.])\d+\.\d\d(?!\d)", text))


def test_a_data_set_of_ones_own_stands_alone(
    elsewhere: BenchmarkResult, render: Callable[[BenchmarkResult], str]
) -> None:
    for result in (elsewhere, replace(elsewhere, official_wheels=False), replace(elsewhere, mean=Figure(0.5))):
        text = render(replace(result, settings={}))
        for absent in ("MER-UniBench", "AffectGPT", "No mean", "Published", "PandaGPT", "no value"):
            assert absent not in text, absent
        assert not re.search(r"(?i)\bmean\b", re.sub(r"<style>.*</style>", "", text)) and not OTHERS & numbers(text)
    assert re.search(r"Scores(:| of) sys", text)


def test_one_data_set_of_the_nine_is_enough(
    full_result: BenchmarkResult, elsewhere: BenchmarkResult, render: Callable[[BenchmarkResult], str]
) -> None:
    text = render(replace(elsewhere, datasets=(*elsewhere.datasets, full_result.datasets[1])))
    assert "MER-UniBench" in text and "No mean" in text and "78.54" in text


def test_wheels_of_our_own_are_not_set_beside_published_scores(full_result: BenchmarkResult) -> None:
    result = replace(full_result, system="sys", official_wheels=False)
    for name in ("terminal", "latex"):
        assert not OTHERS & numbers(FORMATS[name](result)) and "AffectGPT" not in FORMATS[name](result)
    for name, split in (("markdown", "## Published scores"), ("html", '<section id="published">')):
        before, _, after = FORMATS[name](result).partition(split)
        assert not OTHERS & numbers(before) and "PandaGPT" not in before and "AffectGPT" not in before
        assert summary.NOT_COMPARABLE in after and numbers(after) >= OTHERS
        assert summary.NOT_COMPARABLE not in FORMATS[name](full_result)
    lines = interval_plot.draw(result).lines
    assert len(lines) == 10 and not [line for line in lines if line.markers]


def test_sentiment_says_nothing_of_wheels(sentiment: BenchmarkResult, render: Callable[[BenchmarkResult], str]) -> None:
    text = re.sub(r"<style>.*</style>", "", render(replace(sentiment, settings={})))
    assert "CMU-MOSI" in text and "heel" not in text and "onfusion" not in text


def test_one_data_set_on_wheels_brings_them_back(full_result: BenchmarkResult, sentiment: BenchmarkResult) -> None:
    mixed = replace(sentiment, datasets=(full_result.datasets[0], *sentiment.datasets))
    text = render_html(mixed)
    assert summary.UNOFFICIAL in text and 'id="wheels"' in text and 'id="confusion"' in text


def test_a_comparison_names_both_systems(
    full_result: BenchmarkResult, render: Callable[[BenchmarkResult], str]
) -> None:
    text = render(replace(full_result, system="mine"))
    compared = re.sub(r"<[^>]*>", " | ", text[text.rindex("Paired comparisons") :])
    text = " ".join(re.split(r"[\s|&$]+", html.unescape(compared.replace("\\textless{}", "<")))).replace("\\", "")
    assert re.search(r"MER2023 mine baseline \+3.45 1.11 to 5.77 0.012 404\b", text)
    assert re.search(r"MELD mine baseline - ?4.56 - ?6.66 to - ?2.22 < 0.001 2,603\b", text)
    assert "Paired" not in render(replace(full_result, comparisons=()))


@pytest.mark.parametrize("official", [True, False])
def test_the_captions_of_latex_have_single_full_stops(full_result: BenchmarkResult, official: bool) -> None:
    captions = re.findall(r"\\caption\{(.*)\}", render_latex(replace(full_result, official_wheels=official)))
    assert len(captions) == 3
    for caption in captions:
        assert ".." not in caption and ".}." not in caption and caption.endswith((".", ".}"))


EXTRACTORS: dict[str, tuple[Any, bool]] = {
    "lexicon": ({"plugin": "lexicon"}, True),
    "llm": ({"plugin": "llm"}, False),
    "none": (None, False),
    "a text": ("lexicon", False),
    "without a name": ({}, False),
    "markup": ({"plugin": "[red]x"}, True),
}


@pytest.mark.parametrize("case", EXTRACTORS)
def test_another_extractor_than_the_published_one_is_told(full_result: BenchmarkResult, case: str) -> None:
    extractor, is_noted = EXTRACTORS[case]
    result = replace(full_result, settings={} if extractor is None else {"extractor": extractor})
    extractor_notes = [note for note in summary.notes(result) if "Qwen" in note]
    if is_noted:
        assert extractor_notes == [
            f"Labels were read out of the texts by {extractor['plugin']}; "
            "those behind the published scores by Qwen2.5-7B-Instruct."
        ]
    else:
        assert extractor_notes == []
    assert not [note for note in summary.notes(replace(result, official_wheels=False)) if "Qwen" in note]
