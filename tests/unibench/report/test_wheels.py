"""Sunbursts, arrows, colours and matrices say what the counts say."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.unibench.report import colours, interval_plot, published, sunburst, wheel_errors
from affectgpt.unibench.report.html import count, matrix, render_html
from affectgpt.unibench.report.sunburst import FULL, RINGS, arc_path, draw, layout
from affectgpt.unibench.result import BenchmarkResult, Confusion, Figure

NAMES = st.text("abcdefgh情感", min_size=1, max_size=8)
FULL_TREES = st.dictionaries(
    NAMES,
    st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=6), min_size=1, max_size=4),
    min_size=1,
    max_size=7,
)
TREES = st.dictionaries(NAMES, st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=3), max_size=5)
COUNTS = st.dictionaries(
    st.sampled_from(["a", "b", "c", ""]), st.dictionaries(st.sampled_from(["a", "b", "c", ""]), st.floats(0, 1e4))
)
TREE = {"joy": {"glad": ["happy", "merry"]}, "anger": {"hot": ["mad"]}, "fear": {"dread": ["afraid"]}}
COUNTED = {"joy": {"joy": 6.0, "anger": 3.0, "": 1.0}, "anger": {"anger": 2.0, "joy": 6.0}}


# -- geometry


@given(FULL_TREES)
def test_each_ring_is_the_full_circle(tree: dict[str, dict[str, list[str]]]) -> None:
    arcs = layout(tree)
    for level in (1, 2, 3):
        ring = [arc for arc in arcs if arc.level == level]
        assert sum(arc.end - arc.start for arc in ring) == pytest.approx(FULL)
        assert ring[0].start == 0 and ring[-1].end == pytest.approx(FULL)
        for one, following in pairwise(ring):
            assert one.end == pytest.approx(following.start)


@given(TREES)
def test_every_arc_lies_in_its_sector(tree: dict[str, dict[str, list[str]]]) -> None:
    arcs = layout(tree)
    tops = {arc.top: arc for arc in arcs if arc.level == 1}
    assert list(tops) == list(tree)
    for arc in arcs:
        assert arc.end > arc.start
        assert tops[arc.top].start - 1e-9 <= arc.start and arc.end <= tops[arc.top].end + 1e-9
    assert not tree or sum(arc.end - arc.start for arc in tops.values()) == pytest.approx(FULL)
    assert len(arcs) == sum(1 + sum(1 + len(words) for words in inner.values()) for inner in tree.values())


def test_a_sector_is_as_wide_as_its_words() -> None:
    widths = {arc.name: (arc.end - arc.start) / FULL for arc in layout(TREE) if arc.level == 1}
    assert widths == pytest.approx({"joy": 0.5, "anger": 0.25, "fear": 0.25})


def test_a_path_begins_and_ends_on_its_angles() -> None:
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", arc_path(10, 20, 0, math.pi / 2))]
    assert numbers[:2] == [0.0, -20.0] and numbers[4:6] == pytest.approx([20.0, 0.0])
    assert " 0 1 1 " in arc_path(10, 20, 0, 4) and " 0 0 1 " in arc_path(10, 20, 0, 3)
    assert arc_path(10, 20, 0, FULL).count("Z") == 2


def test_labels_stay_within_their_ring_and_upright() -> None:
    long = "a name that is very long indeed, and then some"
    tree = {"joy": {f"{long} {k}": [f"{j} {long}" for j in range(9)] for k in range(3)}, long: {long: [long]}, **TREE}
    for segment in [*draw(tree, {}).segments, *draw({long: {long: [long]}}, {}).segments]:
        assert -90.01 <= (segment.turn + 180) % 360 - 180 <= 90.01
        radius, turn = math.hypot(segment.x, segment.y), math.radians(segment.turn)
        (inner, outer) = next(ring for ring in RINGS if ring[0] < radius < ring[1])
        half = sunburst.text_width(segment.text, segment.size) / 2
        for end in (-half, 0, half):
            assert inner < math.hypot(segment.x + end * math.cos(turn), segment.y + end * math.sin(turn)) < outer


def test_hundreds_of_words_lose_their_labels_not_their_tips() -> None:
    tree = {top: {top + "2": [f"{top} {k}" for k in range(250)]} for top in ("joy", "anger")}
    words = [segment for segment in draw(tree, {}).segments if " › " in segment.tip]
    assert len(words) == 502
    assert not [segment for segment in words if segment.text and segment.size < 6]
    assert any(segment.tip.startswith("joy › joy 249:") for segment in words)


# -- errors


def test_the_colour_of_a_sector_is_its_missed_share() -> None:
    picture = draw(TREE, COUNTED)
    by_tip = {segment.tip.split(":")[0]: segment for segment in picture.segments}
    for name, share in {"joy": 0.4, "anger": 0.75, "fear": None}.items():
        assert by_tip[name].fill == colours.hexadecimal(colours.missed_colour(share))
    assert by_tip["joy › happy"].fill == colours.hexadecimal(colours.missed_colour(0.4, sunburst.PALER[2]))
    assert "40 % of 10 true clips" in by_tip["joy"].tip and "no true clip" in by_tip["fear"].tip
    assert len({by_tip[name].fill for name in ("joy", "anger", "fear")}) == 3


def test_arrows_go_from_the_true_to_the_predicted_sector() -> None:
    picture = draw(TREE, COUNTED)
    assert [chord.tip for chord in picture.chords] == [
        "anger → joy: 6 clips",
        "joy → anger: 3 clips",
        "joy → no sector: 1 clips",
    ]
    middles = {arc.name: (arc.start + arc.end) / 2 for arc in layout(TREE) if arc.level == 1}

    def angle(x: float, y: float) -> float:
        return math.atan2(x, -y) % FULL

    for chord, (true, predicted) in zip(picture.chords, [("anger", "joy"), ("joy", "anger")], strict=False):
        start = [float(number) for number in re.findall(r"-?\d+\.\d+", chord.path)][:2]
        end = [float(number) for number in chord.head.split(" ")[0].split(",")]
        assert angle(*start) == pytest.approx(middles[true], abs=0.06)
        assert angle(*end) == pytest.approx(middles[predicted], abs=0.06)
    tip = [float(number) for number in picture.chords[2].head.split(" ")[0].split(",")]
    assert math.hypot(*tip) == pytest.approx(sunburst.HUB, abs=0.1) and picture.hub
    widths = [chord.width for chord in picture.chords]
    assert widths == sorted(widths, reverse=True) and widths[0] > 2 * widths[2]


def test_only_the_most_frequent_mistakes_are_drawn() -> None:
    tree = {f"s{k}": {"x": ["y"]} for k in range(6)}
    counts = {one: {predicted: 1.0 + k for predicted in tree} for k, one in enumerate(tree)}
    chords = draw(tree, counts).chords
    assert len(chords) == sunburst.ARROWS and all(chord.tip.startswith(("s5", "s4", "s3")) for chord in chords)


@given(st.floats(0, FULL), st.floats(0.05, FULL - 0.05))
def test_an_arrow_between_sectors_passes_the_hub(leaves: float, way: float) -> None:
    edge = RINGS[0][0] - 4
    start, end = sunburst._point(edge, leaves), sunburst._point(edge, leaves + way)
    bend = sunburst._bend(leaves, leaves + way)
    for step in range(101):
        t = step / 100
        x, y = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c for a, b, c in zip(start, bend, end, strict=True))
        assert math.hypot(x, y) > sunburst.HUB + 6


@given(COUNTS)
def test_missed_shares_and_mistakes_agree(counts: dict[str, dict[str, float]]) -> None:
    confusions = wheel_errors.sector_confusions(counts)
    assert [number.clips for number in confusions] == sorted((number.clips for number in confusions), reverse=True)
    for sector in ("a", "b", "c"):
        share = wheel_errors.missed_share(counts, sector)
        missed = sum(number.clips for number in confusions if number.true == sector)
        total = wheel_errors.true_clips(counts, sector)
        assert (share is None) == (total == 0)
        if share is not None:
            assert 0 <= share <= 1 and share * total == pytest.approx(missed, abs=1e-6 * total)
    assert not [number for number in confusions if number.true in ("", number.predicted)]


def test_confusions_of_a_wheel_are_added() -> None:
    one, predicted = Confusion("w", {"a": {"a": 1, "b": 2}}), Confusion("w", {"a": {"b": 0.5}, "b": {"": 1}})
    assert wheel_errors.summed([one, predicted]) == {"a": {"a": 1, "b": 2.5}, "b": {"": 1}}


@given(COUNTS)
def test_the_rows_of_a_matrix_add_up(counts: dict[str, dict[str, float]]) -> None:
    counts_as_integers = {
        true: {predicted: float(round(n)) for predicted, n in row.items()} for true, row in counts.items()
    }
    axis = wheel_errors.axis(counts_as_integers, ["c", "a"])
    drawn = matrix("w", counts_as_integers, axis)
    assert [number for number in axis if number in ("c", "a")] == [number for number in ("c", "a") if number in axis]
    assert "" not in axis[:-1]
    totals = {true: wheel_errors.true_clips(counts_as_integers, true) for true in axis}
    assert len(drawn.rows) == sum(total > 0 for total in totals.values())

    def number(text: str) -> float:
        return float(text.replace(",", "") or 0)

    for true, cells, total in drawn.rows:
        assert len(cells) == len(drawn.predicted) == len(axis)
        assert sum(number(cell.text) for cell in cells) == pytest.approx(number(total))
        assert [name for name, cell in zip(drawn.predicted, cells, strict=True) if cell.hit] == [true]
        for cell in cells:
            assert cell.shade == pytest.approx(10 * number(cell.text) / number(total), abs=0.51)


def test_counts_are_written_short() -> None:
    assert [count(number) for number in (0, 3, 2.5, 1234.0, 0.04)] == ["", "3", "2.5", "1,234", "0"]


# -- colours


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_missed_is_darker(first_share: float, second_share: float) -> None:
    low, high = sorted((first_share, second_share))
    assert colours.luminance(colours.missed_colour(low)) >= colours.luminance(colours.missed_colour(high)) - 0.01
    if high - low > 0.05:
        assert colours.missed_colour(low) != colours.missed_colour(high)


@given(st.one_of(st.none(), st.floats(0, 1)), st.sampled_from(sunburst.PALER))
def test_labels_stand_out(share: float | None, paler: float) -> None:
    ground = colours.luminance(colours.missed_colour(share, paler))
    ink = 1.0 if colours.text_color_on(colours.missed_colour(share, paler)) == "#ffffff" else 0.0
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


def test_the_ramp_goes_from_end_to_end() -> None:
    assert [colours.missed_colour(share) for share in (0, 0.25, 0.5, 0.75, 1)] == list(colours.RAMP)
    assert colours.missed_colour(None) == colours.UNKNOWN and colours.UNKNOWN not in colours.RAMP


# -- the page


def test_the_page_draws_every_wheel(full_result: BenchmarkResult) -> None:
    text = render_html(full_result)
    assert text.count('class="sunburst"') == 2
    segments = sum(len(layout(tree)) for tree in full_result.wheel_trees.values())
    assert text.count('class="segment"') == segments
    assert text.count('class="matrix"') == sum(len(number.confusion) for number in full_result.datasets)
    for words in full_result.wheel_trees["feelings"]["joy"].values():
        assert all(word in text for word in words)


def test_a_wheel_without_errors_and_errors_without_a_wheel(full_result: BenchmarkResult) -> None:
    bare = replace(
        full_result,
        wheel_trees={"simple": full_result.wheel_trees["simple"], "empty": {}, "odd": {"x": {}, "y": {"z": []}}},
    )
    text = render_html(bare)
    assert text.count("No clip was scored on this wheel.") == 2 and text.count('class="sunburst"') == 3


# -- the plot


def test_the_plot_is_true_to_scale(full_result: BenchmarkResult) -> None:
    plot = interval_plot.draw(full_result)
    assert len(plot.lines) == 10
    (x0, low), (x1, high) = [(x, float(text)) for x, text in (plot.ticks[0], plot.ticks[-1])]
    figures = [number.figures[number.primary] for number in full_result.datasets]
    for line, figure, data in zip(plot.lines, figures, full_result.datasets, strict=False):
        for x, value in ((line.low, figure.low), (line.value, figure.value), (line.high, figure.high)):
            assert x is not None and value is not None
            assert (x - x0) / (x1 - x0) == pytest.approx((100 * value - low) / (high - low))
        column = published.column_of(data.title)
        assert column is not None
        for marker, system in zip(line.markers, published.SYSTEMS, strict=True):
            assert (marker.x - x0) / (x1 - x0) == pytest.approx((system.scores[column] - low) / (high - low))
    assert len(interval_plot.SHAPES) == len(published.SYSTEMS)


@pytest.mark.parametrize("figure", [Figure(None), Figure(0.5), Figure(-3.0, -1e9, 1e9), Figure(0.0, 0.0, 1.0)])
def test_the_plot_holds_any_figure(one: BenchmarkResult, figure: Figure) -> None:
    data = replace(one.datasets[0], figures={"f1": figure})
    plot = interval_plot.draw(replace(one, datasets=(data,)))
    (line,) = plot.lines
    inside = [x for x in (line.value, line.low, line.high) if x is not None]
    assert all(interval_plot.LEFT <= x <= interval_plot.WIDTH for x in inside) and 2 <= len(plot.ticks) <= 11
