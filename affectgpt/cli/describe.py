"""`affectgpt describe`: what does the person in this clip feel?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt import api
from affectgpt.cli.options import (
    AllowPickle,
    Json,
    Model,
    OnDevice,
    Plugin,
    Question,
    Shares,
    Workers,
    catalog_of,
    console,
    progress_bars,
)
from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.cli.standard_streams import echo
from affectgpt.cli.streaming import lines, live

if TYPE_CHECKING:
    from affectgpt import Description


def command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.", show_default=False)],
    model: Model = "tiny",
    subtitle: Annotated[
        str | None, typer.Option(help="The words spoken. Default: a .srt, .vtt, .lrc or .txt beside the file.")
    ] = None,
    question: Question = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Clips at a time.", show_default="8; with --stream 1")
    ] = None,
    workers: Workers = 2,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text while it is written.")] = False,
    shares: Shares = True,
    device: OnDevice = "auto",
    allow_pickle: AllowPickle = False,
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Describe the emotion in clips, and how much each modality counted."""
    files = api.find_media_files(paths)
    results: list[dict[str, Any]] = []
    with progress_bars() as bars:

        def on_progress(what: str, done: int, total: int | None) -> None:
            bars(what, done, total)
            # The text is written where a bar would move.
            if stream and done == total:
                bars.stop()

        events = api.describe_files(
            model,
            files,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            workers=workers,
            shares=shares,
            pieces=stream,
            device=device,
            allow_pickle=allow_pickle,
            plugins=catalog_of(context, plugins),
            progress=on_progress,
        )
        if stream:
            rows = lines(events, files) if as_json else live(events, files, show_details)
            results += (asdict(row) for row in rows)
        else:
            with closing(events):
                for _, row in events:
                    assert not isinstance(row, str)
                    results.append(asdict(row))
                    bars.note(one_line(Path(row.file).name))
                    if not as_json:
                        show([row])
    if as_json and not stream:
        echo(json_text(results, indent=1))
    if any(row["error"] for row in results):
        raise typer.Exit(2)


def show(rows: list[Description]) -> None:
    """Print descriptions for a reader."""
    from rich.markup import escape

    for row in rows:
        if not row.error:
            out = console()
            out.print(f"[bold]{escape(one_line(Path(row.file).name))}[/bold]  ({row.seconds:.1f} s)")
            out.print(f"  {printable(row.text)}", markup=False)
        show_details(row)


def show_details(row: Description) -> None:
    """Print what stands below a description's text, or its error."""
    if row.error:
        typer.echo(printable(f"error: {row.error}"), err=True)
        return
    out = console()
    if row.counted:
        out.print("  counted: " + "  ".join(_share(name, share) for name, share in row.counted.items()), markup=False)
    for name, shares in row.fusion.items():
        out.print(f"  {name} weighs: " + "  ".join(_share(*each) for each in shares.items()), markup=False)
    for note in row.notes:
        out.print(f"  note: {printable(note)}", markup=False)


def _share(name: str, share: float | None) -> str:
    return f"{name} absent" if share is None else f"{name} {share:.0%}"
