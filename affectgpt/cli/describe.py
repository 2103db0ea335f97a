"""`affectgpt describe`: what does the person in this clip feel?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.bundled import TINY
from affectgpt.cli.options import Json, Plugin, call_hooks, catalog_of, console, progress
from affectgpt.registry.errors import MediaError

if TYPE_CHECKING:
    from affectgpt.describe import Description


def command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.", show_default=False)],
    model: Annotated[Path, typer.Option(help="A saved model.", show_default="the small bundled one")] = TINY,
    subtitle: Annotated[
        str | None, typer.Option(help="The words spoken. Default: a .srt, .vtt or .txt beside the file.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="What to ask instead of the model's own question.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1024, help="Clips at a time.")] = 8,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Let the model's encoders read pickled weights (restricted).")
    ] = False,
    plugin: Plugin = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Describe the emotion in clips, and how much each modality counted."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    for path in paths:
        if not path.exists():
            raise MediaError("there is no such file", where=str(path), expected="a media file or a folder")
    with progress() as bar:
        loading = bar.add_task("loading the model", total=None, note="")
        from affectgpt.core.checkpoint import load
        from affectgpt.describe import describe, media_files

        files = media_files(paths)
        pipeline = load(model, catalog, lambda name: bar.update(loading, note=name), allow_pickle=allow_pickle)
        bar.update(loading, total=1, completed=1, note="")
        config = pipeline.plan.config
        call_hooks(catalog, "affectgpt_before_run", command="describe", config=config)
        task = bar.add_task("describing", total=len(files), note="")
        rows: list[Description] = []
        for row in describe(pipeline, files, subtitle=subtitle, question=question, batch_size=batch_size):
            rows.append(row)
            bar.update(task, advance=1, note=Path(row.file).name)
    results: list[dict[str, Any]] = [asdict(row) for row in rows]
    call_hooks(catalog, "affectgpt_after_run", command="describe", config=config, result=results)
    if as_json:
        typer.echo(json.dumps(results, indent=1, ensure_ascii=False))
    else:
        show(rows)
    if any(row.error for row in rows):
        raise typer.Exit(2)


def show(rows: list[Description]) -> None:
    """Print descriptions for a reader."""
    from rich.markup import escape

    out = console()
    for row in rows:
        if row.error:
            typer.echo(f"error: {row.error}", err=True)
            continue
        out.print(f"[bold]{escape(Path(row.file).name)}[/bold]  ({row.seconds:.1f} s)")
        out.print(f"  {row.text}", markup=False)
        out.print("  counted: " + "  ".join(_share(name, share) for name, share in row.counted.items()), markup=False)
        for name, shares in row.fusion.items():
            out.print(f"  {name} weighs: " + "  ".join(_share(*each) for each in shares.items()), markup=False)
        for note in row.notes:
            out.print(f"  note: {note}", markup=False)


def _share(name: str, share: float | None) -> str:
    return f"{name} absent" if share is None else f"{name} {share:.0%}"
