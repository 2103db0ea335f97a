"""Every number reaches every format, and the published numbers are those of the source."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from affectgpt.unibench.report import figures, published, summary
from affectgpt.unibench.report.html import render_html
from affectgpt.unibench.report.latex import render_latex
from affectgpt.unibench.report.markdown import render_markdown
from affectgpt.unibench.report.terminal import print_result
from affectgpt.unibench.result import BenchmarkResult, DatasetResult, Figure


def printed(result: BenchmarkResult) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=100))
    return out.getvalue()


FORMATS: dict[str, Callable[[BenchmarkResult], str]] = {
    "terminal": printed,
    "markdown": render_markdown,
    "latex": render_latex,
    "html": render_html,
}


@pytest.fixture(params=FORMATS)
def render(request: pytest.FixtureRequest) -> Callable[[BenchmarkResult], str]:
    """Each way to render a result to text."""
    return FORMATS[request.param]


def plainly(document: str) -> str:
    """The document on one line, without Markdown's backslashes."""
    return re.sub(r"\\(?=[+])", "", " ".join(document.split()))


def occurrences(number: str, text: str) -> int:
    return len(re.findall(rf"(?<![\d.,]){re.escape(number)}(?![\d])", text))


def written(name: str, value: float | None) -> str:
    assert value is not None
    return f"{value:.2f}" if name == "labels_per_clip" else f"{100 * value:.2f}"


def test_every_figure_is_there_once(full_result: BenchmarkResult, render: Callable[[BenchmarkResult], str]) -> None:
    values = [
        written(name, value)
        for dataset in full_result.datasets
        for name, figure in dataset.figures.items()
        for value in ((figure.value, figure.low, figure.high) if name == dataset.primary else (figure.value,))
    ]
    assert full_result.mean is not None
    values += [
        written("mean", value) for value in (full_result.mean.value, full_result.mean.low, full_result.mean.high)
    ]
    published_texts = {
        f"{value:.2f}" for system in published.SYSTEMS for value in (*system.scores.values(), system.mean)
    }
    assert len(set(values)) == len(values) and not published_texts & set(values), (
        "the fixture's values must be told apart"
    )
    text = re.sub(r"<[^>]*>", " ", render(full_result))
    assert {value: occurrences(value, text) for value in values} == dict.fromkeys(values, 1)


@pytest.mark.parametrize("name", ["markdown", "latex", "html"])
def test_intervals_of_secondary_figures_are_there(full_result: BenchmarkResult, name: str) -> None:
    text = FORMATS[name](full_result)
    for dataset in full_result.datasets:
        for key, figure in dataset.figures.items():
            assert f"{written(key, figure.low)} to {written(key, figure.high)}" in text


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_each_wheel_has_its_figures(full_result: BenchmarkResult, name: str) -> None:
    text = FORMATS[name](full_result)
    for dataset in full_result.datasets:
        for values in dataset.per_wheel.values():
            for value in values.values():
                assert written("f1", value) in text


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_clips_on_a_wheel_are_a_whole_number(one: BenchmarkResult, name: str) -> None:
    per_wheel: dict[str, dict[str, float | None]] = {"feelings": {"f1": 0.51, "clips": 37}, "simple": {"clips": 1234.0}}
    text = FORMATS[name](replace(one, datasets=(replace(one.datasets[0], per_wheel=per_wheel),)))
    assert re.findall(r"(?:\| |>)(37|1,234)(?: \||<)", text) == ["37", "1,234"]
    assert figures.score("clips", Figure(30.0)) == "30" and figures.score("clips", Figure(None)) == figures.NO_VALUE


def test_the_reference_is_beside_every_score(full_result: BenchmarkResult) -> None:
    published_scores = {row.title: row.published for row in summary.rows(full_result)}
    assert published_scores == {
        title: f"{published.REFERENCE.scores[key]:.2f}" for key, title in published.TITLES.items()
    }


@pytest.mark.parametrize("name", ["markdown", "latex", "html"])
def test_the_published_table_is_there(full_result: BenchmarkResult, name: str) -> None:
    text = FORMATS[name](full_result)
    for system in (*published.SYSTEMS, *published.SECOND_HAND):
        assert system.system in text
        for score in (*system.scores.values(), system.mean):
            assert occurrences(f"{score:.2f}", text) >= 1
    assert "second-hand" in text


def test_latex_puts_a_score_beside_the_published_ones(full_result: BenchmarkResult) -> None:
    lines = [
        line.removesuffix(r" \\").split(" & ")
        for line in render_latex(full_result).splitlines()
        if line.count(" & ") == 9
    ]
    assert len(lines) == 11
    for cells, data in zip(lines[1:], full_result.datasets, strict=False):
        column = published.column_of(data.title)
        assert column is not None
        row = written(data.primary, data.figures[data.primary].value)
        assert [cells[1], *cells[3:]] == [row, *(f"{dataset.scores[column]:.2f}" for dataset in published.SYSTEMS)]


def test_clips_and_reasons_are_there(full_result: BenchmarkResult, render: Callable[[BenchmarkResult], str]) -> None:
    text = " ".join(render(replace(full_result, datasets=full_result.datasets[:1])).split())
    assert "525" in text
    for reason in ("no true label has a place on any wheel: 4", "no answer: 3", "the prediction is an error: 2"):
        assert reason in text


def test_a_test_set_of_another_size_is_told(one: BenchmarkResult, render: Callable[[BenchmarkResult], str]) -> None:
    note = "Clips instead of those of the published test sets: OV-MERD+ 532 of 1,000."
    assert note.partition(":")[0] not in " ".join(render(one).split())
    data = replace(one.datasets[0], expected=1000)
    assert note in plainly(render(replace(one, datasets=(data,))))


def test_test_sets_of_other_sizes_are_told_in_one_line(full_result: BenchmarkResult) -> None:
    datasets = tuple(replace(dataset, expected=(dataset.expected or 0) + 5) for dataset in full_result.datasets[:3])
    (note,) = [note for note in summary.notes(replace(full_result, datasets=datasets)) if "test sets" in note]
    assert note == (
        "Clips instead of those of the published test sets: OV-MERD+ 532 of 537, MER2023 411 of 416, "
        "MER2024 1,169 of 1,174."
    )


def test_wheels_of_our_own_carry_the_warning(
    full_result: BenchmarkResult, one: BenchmarkResult, render: Callable[[BenchmarkResult], str]
) -> None:
    assert summary.UNOFFICIAL in " ".join(render(one).split())
    assert summary.UNOFFICIAL not in " ".join(render(full_result).split())


def test_a_result_without_a_mean_says_why(one: BenchmarkResult, render: Callable[[BenchmarkResult], str]) -> None:
    text = " ".join(render(one).split())
    assert "no value" in text and "No mean: 8 of 9 data sets are missing" in text


WHYS = {
    "both 0": ({"f1": Figure(None), "precision": Figure(0.0), "recall": Figure(0.0)}, {}, 5, "are both 0"),
    "no clip": ({"f1": Figure(None)}, {}, 0, "no clip counted"),
    "a wheel": ({"f1": Figure(None)}, {"feelings": {"f1": 0.1}, "simple": {"f1": None}}, 5, "no value on simple"),
    "unknown": ({"f1": Figure(None)}, {}, 5, "not defined for these clips"),
    "absent": ({}, {}, 5, "it was not computed"),
}


@pytest.mark.parametrize("why", WHYS)
def test_a_missing_value_says_why(why: str, render: Callable[[BenchmarkResult], str]) -> None:
    figures, per_wheel, clips, note = WHYS[why]
    data = DatasetResult("ovmerdplus", "OV-MERD+", "fine-grained", "f1", figures, clips, per_wheel=per_wheel)
    text = " ".join(render(BenchmarkResult("mine", (data,), None, "1 of 9 is here")).split())
    assert "no value" in text and note in text and "nan" not in text.lower()


def test_a_value_without_an_interval_stands_alone(render: Callable[[BenchmarkResult], str]) -> None:
    data = DatasetResult("mosi", "CMU-MOSI", "sentiment", "weighted_f1", {"weighted_f1": Figure(0.77777)}, 686)
    text = render(BenchmarkResult("mine", (data,), None, "1 of 9 is here"))
    assert occurrences("77.78", text) == 1 and "None" not in text


def test_an_empty_result_renders(render: Callable[[BenchmarkResult], str]) -> None:
    text = render(BenchmarkResult("nothing", (), None))
    assert "nothing" in text and "None" not in text


def test_published_means_are_those_of_their_rows() -> None:
    assert len(published.SYSTEMS) == 7 and published.REFERENCE.name == "AffectGPT (AVT)"
    for system in published.SYSTEMS:
        assert len(system.scores) == 9
        assert sum(system.scores.values()) / 9 == pytest.approx(system.mean, abs=0.006)
    assert all(dataset.second_hand and not dataset.scores for dataset in published.SECOND_HAND)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("CMU-MOSI", "mosi"),
        ("cmumosei", "mosei"),
        ("CH-SIMS v2", "simsv2"),
        ("sims", "sims"),
        ("OV-MERD", None),
        ("OV-MERD+", "ovmerdplus"),
        ("ovmerdplus", "ovmerdplus"),
        ("MER2023", "mer2023"),
        ("mine", None),
        ("", None),
    ],
)
def test_a_data_set_finds_its_column(name: str, column: str | None) -> None:
    assert published.column_of(name) == column
    assert published.column_of("no such", name) == column
