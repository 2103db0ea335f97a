"""`affectgpt data`: look at folders of data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.cli.options import Json, console, progress
from affectgpt.cli.printable import json_text, one_line, printable

if TYPE_CHECKING:
    from affectgpt.unibench.datasets.doctor import Health, Report

app = typer.Typer(no_args_is_help=True, help="Look at folders of data.")


@app.callback()
def _data() -> None:
    pass


@app.command("doctor")
def doctor(
    place: Annotated[
        Path,
        typer.Argument(
            help="The folder of MER-UniBench, one of its data sets, a folder in the MER2025 layout, or a manifest.",
            metavar="FOLDER",
            show_default=False,
        ),
    ],
    as_json: Json = False,
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode a frame and the sound of every clip.")
    ] = True,
    manifest: Annotated[bool, typer.Option("--manifest", help="Insist that FOLDER is a manifest.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that decode clips.")] = 2,
) -> None:
    """Say what is there, what is missing and what cannot be decoded. Exits 2 when something is wrong."""
    from rich.markup import escape

    from affectgpt.unibench.datasets.doctor import examine

    with progress() as bar:
        tasks: dict[str, Any] = {}

        def tell(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(f"decoding {escape(one_line(title))}", total=total, note="")
            bar.update(tasks[title], completed=done)

        report = examine(place, manifest=manifest, decode=decode, workers=workers, progress=tell)
    if as_json:
        typer.echo(json_text(report.as_json(), indent=1))
    else:
        _show(report)
    if not report.healthy:
        raise typer.Exit(2)


def _show(report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("data set", no_wrap=True)
    for column in ("clips", "expected", "subtitles", "sound", "faces", "decoded", "length", "problems"):
        table.add_column(column, justify="right")
    for each in report.sets:
        table.add_row(
            escape(one_line(each.title)),
            f"{each.clips:,}",
            "" if each.expected is None else f"{each.expected:,}",
            f"{each.subtitles:,}",
            f"{each.sounds:,}",
            f"{each.faces:,}",
            "" if each.decoded is None else f"{each.decoded:,}",
            _length(each.seconds),
            f"[red]{len(each.problems)}[/red]" if each.problems else "none",
        )
    out.print(table)
    out.print("\nlabels", style="bold")
    for each in report.sets:
        out.print(one_line(f"  {each.title}: {_labels(each)}"), markup=False, soft_wrap=True)
    if report.missing:
        out.print(f"\nnot there: {', '.join(report.missing)}", markup=False, soft_wrap=True)
    for each in report.sets:
        for note in each.notes:
            out.print(one_line(f"note: {each.title}: {note}"), markup=False, soft_wrap=True)
    problems = [problem for each in report.sets for problem in each.problems]
    for problem in problems:
        out.print(printable(f"problem: {problem}"), markup=False, soft_wrap=True, style="red")
    out.print("\nall is well" if report.healthy else f"\n{len(problems)} to mend", style="bold")


def _labels(each: Health) -> str:
    shown = ", ".join(f"{label} {count:,}" for label, count in list(each.labels.items())[:10])
    more = len(each.labels) - 10
    return (shown + (f" and {more:,} more" if more > 0 else "")) or "none"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
