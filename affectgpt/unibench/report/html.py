"""A result as one HTML page that needs nothing else: no script, no other file, no network.

Texts from outside reach the page only through Jinja2's escaping. The page's own policy (CSP) allows its one style
sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from affectgpt.unibench.report import colours, interval_plot, published, summary, sunburst, wheel_errors
from affectgpt.unibench.report.plain_text import label, safe_text
from affectgpt.unibench.result import BenchmarkResult, DatasetResult

_PACKAGE = "affectgpt.unibench.report"


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix: its count, `shade` from 0 to 10 (share of the row), `hit`: on the diagonal."""

    text: str
    shade: int
    hit: bool


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix; `rows` are (true sector, cells, clips in the row)."""

    wheel: str
    predicted: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], str], ...]


def render_html(result: BenchmarkResult) -> str:
    """`result` as one HTML document."""
    style = files(_PACKAGE).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    score, interval = summary.mean(result)
    uses_wheels, shows_published = summary.uses_wheels(result), summary.shows_published(result)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            # Markup: the package's own file, and the hash has to fit it to the letter.
            style=Markup(style),
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            system=label(result.system),
            official=result.official_wheels,
            kind=summary.kind(result),
            heading=summary.heading(result),
            in_benchmark=summary.in_benchmark(result),
            uses_wheels=uses_wheels,
            shows_published=shows_published,
            warning=summary.warning(result),
            not_comparable=summary.NOT_COMPARABLE,
            caption=summary.CAPTION,
            rows=summary.rows(result),
            mean=score,
            mean_interval=interval,
            notes=summary.notes(result),
            published=published,
            systems=published.SYSTEMS if shows_published else (),
            plot=interval_plot.draw(result),
            shapes=interval_plot.SHAPES,
            per_wheel=[
                (label(dataset.title), *summary.per_wheel(dataset))
                for dataset in result.datasets
                if uses_wheels and dataset.per_wheel
            ],
            wheels=[_wheel(result, name) for name in result.wheel_trees if uses_wheels],
            legend=_legend(),
            matrices=[
                (label(dataset.title), _matrices(dataset, result))
                for dataset in result.datasets
                if uses_wheels and dataset.confusion
            ],
            worst=[(label(dataset.title), _worst(dataset)) for dataset in result.datasets if dataset.worst],
            compared=summary.COMPARED,
            comparisons=summary.comparisons(result),
            provenance=summary.provenance(result),
            half=sunburst.SIZE,
            hub_radius=sunburst.HUB,
            clips=f"{sum(dataset.clips for dataset in result.datasets):,}",
            excluded=f"{sum(sum(dataset.excluded.values()) for dataset in result.datasets):,}",
        )
        + "\n"
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(_PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _wheel(result: BenchmarkResult, name: str) -> dict[str, Any]:
    tree = result.wheel_trees[name]
    confusions = wheel_errors.of_wheel(result.datasets, name)
    counts = wheel_errors.summed(confusion for _, confusion in confusions)
    shares = [(top, wheel_errors.missed_share(counts, top), wheel_errors.true_clips(counts, top)) for top in tree]
    return {
        "name": label(name),
        "datasets": [label(title) for title, _ in confusions],
        "picture": sunburst.draw(tree, counts),
        "sectors": [
            (label(top), "no clips" if share is None else f"{100 * share:.0f} %", count(clips), _fill(share))
            for top, share, clips in shares
        ],
        "mistakes": [
            (label(mistake.true), _sector(mistake.predicted), count(mistake.clips))
            for mistake in wheel_errors.sector_confusions(counts)[: sunburst.ARROWS]
        ],
        "words": _words(tree),
    }


def _words(tree: Mapping[str, Mapping[str, list[str]]]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (label(top), [(label(middle), ", ".join(map(label, words))) for middle, words in inner.items()])
        for top, inner in tree.items()
    ]


def _legend() -> list[tuple[str, str]]:
    steps = [(f"{round(100 * share)} %", share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return [(text, _fill(share)) for text, share in steps]


def _matrices(result: DatasetResult, benchmark: BenchmarkResult) -> list[Matrix]:
    return [
        matrix(
            label(confusion.wheel),
            confusion.counts,
            wheel_errors.axis(confusion.counts, benchmark.wheel_trees.get(confusion.wheel, ())),
        )
        for confusion in result.confusion
    ]


def matrix(wheel: str, counts: wheel_errors.Counts, sectors: list[str]) -> Matrix:
    """The matrix of `counts` with `sectors` on both axes; a true sector without clips has no row."""
    rows = []
    for true in sectors:
        row, total = counts.get(true, {}), wheel_errors.true_clips(counts, true)
        if total > 0:
            cells = tuple(
                Cell(count(row.get(predicted, 0)), _shade(row.get(predicted, 0) / total), predicted == true)
                for predicted in sectors
            )
            rows.append((_sector(true), cells, count(total)))
    return Matrix(wheel, tuple(_sector(predicted) for predicted in sectors), tuple(rows))


def count(clips: float) -> str:
    """A shared-out number of clips, with one decimal unless whole; "" for none."""
    return "" if clips == 0 else f"{clips:,.1f}".removesuffix(".0")


def _shade(share: float) -> int:
    return round(10 * min(1.0, max(0.0, share)))


def _fill(share: float | None) -> str:
    return colours.hexadecimal(colours.missed_colour(share))


def _sector(name: str) -> str:
    return "no sector" if name == wheel_errors.NONE else label(name)


def _worst(result: DatasetResult) -> list[dict[str, Any]]:
    return [
        {
            "id": label(clip.id),
            "text": safe_text(clip.text),
            "score": f"{100 * clip.score:.0f}",
            "true": [label(name) for name in clip.true],
            "predicted": [label(name) for name in clip.predicted],
            "shared": {label(name) for name in clip.true} & {label(name) for name in clip.predicted},
        }
        for clip in result.worst
    ]
