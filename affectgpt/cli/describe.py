"""`affectgpt describe`: what does the person in this clip feel?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.bundled import TINY
from affectgpt.cli.options import (
    AllowPickle,
    Json,
    Model,
    OnDevice,
    Plugin,
    Question,
    Workers,
    call_hooks,
    catalog_of,
    console,
    progress,
    saved_model,
)
from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.cli.streaming import lines, live
from affectgpt.registry.errors import MediaError

if TYPE_CHECKING:
    from affectgpt.core.description import Description


def command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.", show_default=False)],
    model: Model = str(TINY),
    subtitle: Annotated[
        str | None, typer.Option(help="The words spoken. Default: a .srt, .vtt or .txt beside the file.")
    ] = None,
    question: Question = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Clips at a time.", show_default="8; with --stream 1")
    ] = None,
    workers: Workers = 2,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text while it is written.")] = False,
    device: OnDevice = "auto",
    allow_pickle: AllowPickle = False,
    plugin: Plugin = [],
    as_json: Json = False,
) -> None:
    """Describe the emotion in clips, and how much each modality counted."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    for path in paths:
        if not path.exists():
            raise MediaError("there is no such file", where=str(path), expected="a media file or a folder")
    folder = saved_model(Path(model))
    with progress() as bar:
        loading = bar.add_task("loading the model", total=None, note="")
        from affectgpt.serving import describe

        files = describe.media_files(paths)
        from affectgpt.api.resolve import choose_device
        from affectgpt.core.saved.model import load

        location = choose_device(device)
        pipeline = load(folder, catalog, lambda name: bar.update(loading, note=name), allow_pickle=allow_pickle)
        pipeline = pipeline.to(location)
        bar.update(loading, total=1, completed=1, note="")
        config = pipeline.plan.config
        call_hooks(catalog, "affectgpt_before_run", command="describe", config=config)
        # A single file is read here: a process for it would have nobody to be ahead of.
        given: dict[str, Any] = {
            "subtitle": subtitle,
            "question": question,
            "workers": workers if len(files) > 1 else 0,
            "batch_size": batch_size or (1 if stream else 8),
        }
        results: list[dict[str, Any]] = []
        if stream:
            bar.stop()
            events = describe.stream(pipeline, files, **given)
            shown = lines(events, files) if as_json else live(events, files, show_details)
            results += (asdict(row) for row in shown)
        else:
            task = bar.add_task("describing", total=len(files), note="")
            with closing(describe.describe_each(pipeline, files, **given)) as rows:
                for row in rows:
                    results.append(asdict(row))
                    bar.update(task, advance=1, note=one_line(Path(row.file).name))
                    if not as_json:
                        show([row])
    call_hooks(catalog, "affectgpt_after_run", command="describe", config=config, result=results)
    if as_json and not stream:
        typer.echo(json_text(results, indent=1))
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
    out.print("  counted: " + "  ".join(_share(name, share) for name, share in row.counted.items()), markup=False)
    for name, shares in row.fusion.items():
        out.print(f"  {name} weighs: " + "  ".join(_share(*each) for each in shares.items()), markup=False)
    for note in row.notes:
        out.print(f"  note: {printable(note)}", markup=False)


def _share(name: str, share: float | None) -> str:
    return f"{name} absent" if share is None else f"{name} {share:.0%}"
