"""A result as a table on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from affectgpt.unibench.report import figures, published, summary
from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.result import BenchmarkResult


def print_result(result: BenchmarkResult, console: Console) -> None:
    """Print `result` as tables with notes under them. Texts are shown as they are: no markup, no control codes."""
    if not result.official_wheels:
        console.print(Text(f"Note: {summary.UNOFFICIAL}", style="bold yellow"))
    console.print(_scores(result))
    if result.comparisons:
        console.print(_comparisons(result))
    for note in summary.notes(result):
        console.print(Text(f"- {note}"))
    console.print(Text(f"- AffectGPT: {published.REFERENCE.name}, published in {published.SOURCE}.", style="dim"))


def _scores(result: BenchmarkResult) -> Table:
    table = _table(f"MER-UniBench: {label(result.system)}", summary.CAPTION)
    table.add_column("data set")
    table.add_column("task, metric")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("other figures")
    for name in ("clips", "excl.", "AffectGPT"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.rows(result):
        table.add_row(*map(Text, (
            row.title, f"{row.task}\n{row.metric}", f"{row.score}\n{row.interval}".strip(),
            "\n".join(f"{name} {score}" for name, score, _ in row.others),
            f"{row.clips:,}", f"{row.excluded:,}", row.published or "-",
        )))  # fmt: skip
    score, interval = summary.mean(result)
    table.add_section()
    cells = ("mean", "", f"{score}\n{interval}".strip(), "", "", "", f"{published.REFERENCE.mean:.2f}")
    table.add_row(*(Text(cell, style="bold") for cell in cells))
    return table


def _comparisons(result: BenchmarkResult) -> Table:
    table = _table("Paired comparisons", "difference of the primary figure, x 100")
    for name in ("data set", "against", "difference", "95 % interval", "p", "clips"):
        table.add_column(name)
    for each in result.comparisons:
        table.add_row(*map(Text, (
            summary.title_of(result, each.dataset), label(each.other), figures.signed(each.difference),
            figures.interval("difference", each.difference), figures.p_value(each.p_value), f"{each.clips:,}",
        )))  # fmt: skip
    return table


def _table(title: str, caption: str) -> Table:
    return Table(title=Text(title), caption=Text(caption), box=box.SIMPLE_HEAD,
                 title_justify="left", caption_justify="left")  # fmt: skip
