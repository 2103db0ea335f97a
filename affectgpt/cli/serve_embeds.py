"""`affectgpt serve-embeds`: describe clips with the language model on a vLLM server."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.cli.options import (
    AllowPickle,
    BatchSize,
    Json,
    Model,
    OnDevice,
    Plugin,
    Question,
    Workers,
    catalog_of,
    progress_bars,
)
from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.cli.standard_streams import echo
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from affectgpt.api import ExportedPrompt, ServedDescription, ServerRun


def command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.", show_default=False)],
    model: Model = "tiny",
    server: Annotated[str | None, typer.Option(help="A vLLM server's address: http://host:8000/v1.")] = None,
    served_model: Annotated[
        str | None, typer.Option(help="The model's or adapter's name there. Default: the only one it has.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the texts to this file, one JSON row each.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Ask no server: write the prompts to this folder, as safetensors.")
    ] = None,
    subtitle: Annotated[
        str | None, typer.Option(help="The words spoken. Default: a .srt, .vtt, .lrc or .txt beside the file.")
    ] = None,
    question: Question = None,
    parallel: Annotated[int, typer.Option(min=1, max=1024, help="Requests at the same time.")] = 16,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    device: OnDevice = "auto",
    allow_pickle: AllowPickle = False,
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Encode clips here and let a vLLM server write the texts; a key it wants is read from VLLM_API_KEY."""
    if (server is None) == (export is None):
        raise ConfigError(
            "say where the prompts go", where="the command line", expected="--server URL, or --export FOLDER"
        )
    if export is not None and (out is not None or served_model is not None):
        raise ConfigError(
            "without a server there are no texts",
            where="the command line",
            found="--export with --out or --served-model",
        )
    from affectgpt import api

    with progress_bars() as progress:
        options: dict[str, Any] = {
            "subtitle": subtitle,
            "question": question,
            "batch_size": batch_size,
            "workers": workers,
            "device": device,
            "allow_pickle": allow_pickle,
            "plugins": catalog_of(context, plugins),
            "progress": progress,
        }
        run: ServerRun[ExportedPrompt] | ServerRun[ServedDescription]
        if export is not None:
            run = api.export_prompts(model, paths, export, **options)
        else:
            assert server is not None
            run = api.describe_on_server(
                model, paths, server, served_model=served_model, out=out, parallel=parallel, **options
            )
        with closing(run):
            for clip in run:
                progress.note(one_line(Path(clip.file).name))
                _show(clip, as_json=as_json, quiet=out is not None or export is not None)
    if export is not None and not as_json:
        number = f"{len(run.files)} clip{'s' * (len(run.files) != 1)}, {run.failed} error{'s' * (run.failed != 1)}"
        echo(f"{number}: {one_line(str(export))}")
    if run.failed:
        raise typer.Exit(2)


def _show(clip: ServedDescription | ExportedPrompt, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        echo(json_text(clip.row()))
    elif clip.error:
        typer.echo(printable(f"error: {clip.error}"), err=True)
    elif not quiet:
        echo(f"{one_line(Path(clip.file).name)}\n  {printable(clip.text)}")
        for note in clip.notes:
            echo(f"  note: {printable(note)}")
