"""`affectgpt data`: look at folders of data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affectgpt.cli.options import Json, console, progress_bars
from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.cli.standard_streams import echo
from affectgpt.registry.messages import first_and_more

if TYPE_CHECKING:
    from affectgpt.api import DatasetHealth, DoctorReport

app = typer.Typer(no_args_is_help=True, help="Look at folders of data.")


@app.callback()
def _data() -> None:
    pass


@app.command("doctor")
def doctor(
    data: Annotated[
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
    from affectgpt import api

    with progress_bars() as progress:
        report = api.doctor(data, manifest=manifest, decode=decode, workers=workers, progress=progress)
    if as_json:
        echo(json_text(report.as_json(), indent=1))
    else:
        _show(report)
    if not report.healthy:
        raise typer.Exit(2)


def _show(report: DoctorReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("data set", no_wrap=True)
    for column in ("clips", "expected", "subtitles", "sound", "faces", "decoded", "length", "problems"):
        table.add_column(column, justify="right")
    for dataset in report.sets:
        table.add_row(
            escape(one_line(dataset.title)),
            f"{dataset.clips:,}",
            "" if dataset.expected is None else f"{dataset.expected:,}",
            f"{dataset.subtitles:,}",
            f"{dataset.sounds:,}",
            f"{dataset.faces:,}",
            "" if dataset.decoded is None else f"{dataset.decoded:,}",
            _length(dataset.seconds),
            f"[red]{len(dataset.problems)}[/red]" if dataset.problems else "none",
        )
    out.print(table)
    out.print("\nlabels", style="bold")
    for dataset in report.sets:
        out.print(one_line(f"  {dataset.title}: {_labels(dataset)}"), markup=False, soft_wrap=True)
    if report.missing:
        out.print(f"\nnot there: {', '.join(report.missing)}", markup=False, soft_wrap=True)
    for dataset in report.sets:
        for note in dataset.notes:
            out.print(one_line(f"note: {dataset.title}: {note}"), markup=False, soft_wrap=True)
    problems = [problem for dataset in report.sets for problem in dataset.problems]
    for problem in problems:
        out.print(printable(f"problem: {problem}"), markup=False, soft_wrap=True, style="red")
    out.print("\nall is well" if report.healthy else f"\n{len(problems)} to mend", style="bold")


def _labels(dataset: DatasetHealth) -> str:
    return first_and_more([f"{label} {count:,}" for label, count in dataset.labels.items()], 10) or "none"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{remainder:02d}"
