"""Scores with their intervals beside the published systems, as a plot. Geometry only, in units of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.unibench.report import published, summary
from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.report.sunburst import ellipsize
from affectgpt.unibench.result import BenchmarkResult, Figure

LEFT, RIGHT, TOP, ROW, WIDTH = 150.0, 24.0, 12.0, 46.0, 920.0

SHAPES = (
    "M0 -5 L5 4 L-5 4 Z",
    "M-4.4 -4.4 H4.4 V4.4 H-4.4 Z",
    "M0 -6.4 L6.4 0 L0 6.4 L-6.4 0 Z",
    "M0 -6.4 L6.4 0 L0 6.4 L-6.4 0 Z M0 -3 L-3 0 L0 3 L3 0 Z",
    "M-5 -4 L5 -4 L0 5 Z",
    "M-1.7 -5 H1.7 V-1.7 H5 V1.7 H1.7 V5 H-1.7 V1.7 H-5 V-1.7 H-1.7 Z",
    "M-5 0 A5 5 0 1 1 5 0 A5 5 0 1 1 -5 0 Z M-2.4 0 A2.4 2.4 0 1 0 2.4 0 A2.4 2.4 0 1 0 -2.4 0 Z",
)
"""One path for each of the published systems, around the origin."""


@dataclass(frozen=True)
class Marker:
    """A published score at `x`; `kind` is the system's place in the published table."""

    kind: int
    x: float
    tip: str


@dataclass(frozen=True)
class Line:
    """One data set (or the mean): its name, and the x of its score and interval, None where there is none."""

    title: str
    y: float
    value: float | None
    low: float | None
    high: float | None
    markers: tuple[Marker, ...]


@dataclass(frozen=True)
class Plot:
    """The plot; `ticks` are (x, text)."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    width: float
    height: float


def draw(result: BenchmarkResult) -> Plot:
    """The plot of the primary figures of `result`; its axis spans whole tens, within 0 and 100."""
    rows: list[tuple[str, Figure | None, dict[str, float]]] = []
    systems = published.SYSTEMS if summary.shows_published(result) else ()
    for dataset in result.datasets:
        column = published.column_of(dataset.dataset, dataset.title)
        published_scores = {system.name: system.scores[column] for system in systems} if column else {}
        rows.append((label(dataset.title), dataset.figures.get(dataset.primary), published_scores))
    if result.mean is not None and summary.in_benchmark(result):
        rows.append(("Mean", result.mean, {system.name: system.mean for system in systems}))
    low, high = _span(rows)

    def x_of(percent: float) -> float:
        clipped = min(high, max(low, percent))
        return LEFT + (WIDTH - LEFT - RIGHT) * (clipped - low) / (high - low)

    def x_or_none(value: float | None) -> float | None:
        return None if value is None else x_of(100 * value)

    lines = []
    for index, (title, figure, published_scores) in enumerate(rows):
        own_figure = figure or Figure(None)
        markers = [
            Marker(k, x_of(score), f"{name}: {score:.2f}") for k, (name, score) in enumerate(published_scores.items())
        ]
        ends = (
            (x_or_none(own_figure.low), x_or_none(own_figure.high))
            if own_figure.low is not None and own_figure.high is not None
            else (None, None)
        )
        y = TOP + ROW * (index + 0.5)
        lines.append(Line(ellipsize(title, LEFT - 20, 14), y, x_or_none(own_figure.value), *ends, tuple(markers)))
    ticks = [(x_of(tick), f"{tick:g}") for tick in range(int(low), int(high) + 1, 10)]
    return Plot(tuple(lines), tuple(ticks), WIDTH, TOP + ROW * len(rows) + 30)


def _span(rows: Sequence[tuple[str, Figure | None, dict[str, float]]]) -> tuple[float, float]:
    scores = [score for _, _, others in rows for score in others.values()]
    for _, figure, _ in rows:
        if figure is not None:
            scores += [100 * value for value in (figure.value, figure.low, figure.high) if value is not None]
    clipped = [min(100.0, max(0.0, score)) for score in scores] or [0.0, 100.0]
    low = 10 * math.floor(max(0.0, min(clipped) - 1) / 10)
    high = 10 * math.ceil(min(100.0, max(clipped) + 1) / 10)
    return float(low), float(max(high, low + 10))
