"""A result as a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from affectgpt.unibench.report import published, summary
from affectgpt.unibench.result import BenchmarkResult


def print_result(result: BenchmarkResult, console: Console) -> None:
    """Print `result` as tables with notes under them. Texts are shown as they are: no markup, no control codes."""
    for renderable in renderables(result):
        console.print(renderable)


def renderables(result: BenchmarkResult) -> Iterator[Table | Text]:
    """What [print_result][] prints, one after the other."""
    if warning := summary.warning(result):
        yield Text(f"Note: {warning}", style="bold yellow")
    yield _scores(result)
    if result.comparisons:
        yield _comparisons(result)
    for note in summary.notes(result):
        yield Text(f"- {note}")
    if summary.shows_published(result):
        yield Text(f"- AffectGPT: {published.REFERENCE.name}, published in {published.SOURCE}.", style="dim")


def _scores(result: BenchmarkResult) -> Table:
    table = _table(summary.heading(result), summary.CAPTION)
    shows_published = summary.shows_published(result)
    table.add_column("data set")
    table.add_column("task, metric")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("other figures")
    for name in ("clips", "excl.", *(["AffectGPT"] if shows_published else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.rows(result):
        table.add_row(
            *map(
                Text,
                (
                    row.title,
                    f"{row.task}\n{row.metric}",
                    f"{row.score}\n{row.interval}".strip(),
                    "\n".join(f"{name} {score}" for name, score, _ in row.other_figures),
                    f"{row.clips:,}",
                    f"{row.excluded:,}",
                    *([row.published or "-"] if shows_published else []),
                ),
            )
        )
    if summary.in_benchmark(result):
        score, interval = summary.mean(result)
        table.add_section()
        cells = ["mean", "", f"{score}\n{interval}".strip(), "", "", ""]
        cells += [f"{published.REFERENCE.mean:.2f}"] if shows_published else []
        table.add_row(*(Text(cell, style="bold") for cell in cells))
    return table


def _comparisons(result: BenchmarkResult) -> Table:
    table = _table("Paired comparisons", summary.COMPARED)
    for index, name in enumerate(summary.COMPARISON_HEADS):
        table.add_column(name, no_wrap=index > 2, overflow="ellipsis" if index > 2 else "fold")
    for cells in summary.comparisons(result):
        table.add_row(*map(Text, cells))
    return table


def _table(title: str, caption: str) -> Table:
    return Table(
        title=Text(title), caption=Text(caption), box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left"
    )
