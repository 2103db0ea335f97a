"""`affectgpt serve-embeds`: describe clips with the language model on a vLLM server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.bundled import TINY
from affectgpt.cli.generate import AllowPickle, BatchSize, Device, Model, OnDevice, Question, Workers
from affectgpt.cli.options import Json, Plugin, catalog_of, progress, saved_model
from affectgpt.cli.printable import json_text, one_line, printable
from affectgpt.registry.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from affectgpt.files.row_file import RowFile


def command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files, or folders of them.", show_default=False)],
    model: Model = TINY,
    server: Annotated[str | None, typer.Option(help="A vLLM server's address: http://host:8000/v1.")] = None,
    served_model: Annotated[
        str | None, typer.Option(help="The model's or adapter's name there. Default: the only one it has.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the texts to this file, one JSON row each.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Ask no server: write the prompts to this folder, as safetensors.")
    ] = None,
    subtitle: Annotated[
        str | None, typer.Option(help="The words spoken. Default: a .srt, .vtt or .txt beside the file.")
    ] = None,
    question: Question = None,
    parallel: Annotated[int, typer.Option(min=1, max=1024, help="Requests at the same time.")] = 16,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    device: OnDevice = Device.auto,
    allow_pickle: AllowPickle = False,
    plugin: Plugin = [],
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
    for path in paths:
        if not path.exists():
            raise MediaError("there is no such file", where=str(path), expected="a media file or a folder")
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    from affectgpt.serving.describe import media_files
    from affectgpt.serving.vllm_client import Server

    files = media_files(paths)
    with ExitStack() as stack:
        asked = None
        if server is not None:
            asked = stack.enter_context(Server(server, model=served_model, parallel=parallel))
            asked.connect()
        folder = saved_model(model)
        bar = stack.enter_context(progress())
        loading = bar.add_task("loading the model", total=None, note="")
        pipeline = _loaded(folder, catalog, device, allow_pickle, lambda name: bar.update(loading, note=name))
        bar.update(loading, total=1, completed=1, note="")
        written = _opened(stack, pipeline, folder, files, asked, out, export, subtitle=subtitle, question=question)
        if written is not None and written.failed:
            note = f"note: {written.failed} of the {written.done} rows that are there have an error: {written.path}"
            typer.echo(printable(note), err=True)
        rows = _rows(
            stack,
            pipeline,
            files,
            asked,
            written,
            export,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            workers=workers if len(files) > 1 else 0,
        )
        task = bar.add_task("describing" if asked else "encoding", total=len(files), note="")
        failed = 0
        for row in rows:
            bar.update(task, advance=1, note=one_line(Path(row["id"]).name))
            failed += written is None and "error" in row
            _show(row, as_json=as_json, quiet=out is not None or export is not None)
        # Also those of a run that this one goes on with.
        failed += written.failed if written is not None else 0
    if export is not None and not as_json:
        number = f"{len(files)} clip{'s' * (len(files) != 1)}, {failed} error{'s' * (failed != 1)}"
        typer.echo(f"{number}: {one_line(str(export))}")
    if failed:
        raise typer.Exit(2)


def _loaded(folder: Path, catalog: Any, device: Device, allow_pickle: bool, tell: Any) -> Any:
    import torch

    from affectgpt.serving.prompt_embeds import load_for_prompts
    from affectgpt.serving.vllm_request import check_servable

    there = torch.cuda.is_available()
    if device is Device.cuda and not there:
        raise ConfigError("there is no CUDA device", where="--device", found="cuda", hint="use --device cpu")
    pipeline = load_for_prompts(folder, catalog, tell, allow_pickle=allow_pickle)
    check_servable(pipeline.plan.config)
    return pipeline.to("cuda" if there and device is not Device.cpu else "cpu")


def _opened(
    stack: ExitStack,
    pipeline: Any,
    model: Path,
    files: list[Path],
    server: Any,
    out: Path | None,
    export: Path | None,
    **given: Any,
) -> RowFile | None:
    from affectgpt.files.row_file import opened
    from affectgpt.unibench.predictions import model_name

    question = pipeline.plan.config.prompt.question if given["question"] is None else given["question"]
    # A question that is too long is refused before a file is made.
    pipeline.check_question(question)
    path = out if export is None else export / "index.jsonl"
    if path is None:
        return None
    config = pipeline.plan.config
    settings = {
        "format": "affectgpt served texts" if export is None else "affectgpt prompts",
        "model": model_name(model),
        "served_model": server.model if server else None,
        "subtitle": given["subtitle"],
        "question": question,
        "seed": config.seed,
        "clips": len(files),
        "generation": config.generation.model_dump(mode="json"),
        "versions": {name: version(name) for name in ("affectgpt", "torch", "transformers")},
    }
    return stack.enter_context(opened(path, settings, [str(file) for file in files], 1))


def _rows(
    stack: ExitStack,
    pipeline: Any,
    files: list[Path],
    server: Any,
    rows: RowFile | None,
    export: Path | None,
    **given: Any,
) -> Iterator[dict[str, Any]]:
    from affectgpt.serving import vllm_describe as describing
    from affectgpt.serving.prompt_embeds import prompted

    clips = stack.enter_context(closing(prompted(pipeline, files[rows.done if rows else 0 :], **given)))
    if export is not None:
        assert rows is not None
        yield from describing.export(pipeline, clips, export, rows)
        return
    for row in stack.enter_context(closing(describing.served(pipeline, clips, server))):
        if rows is not None:
            rows.append([row])
        yield row


def _show(row: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json_text(row))
    elif "error" in row:
        typer.echo(printable(f"error: {row['error']}"), err=True)
    elif not quiet:
        typer.echo(f"{one_line(Path(row['id']).name)}\n  {printable(row['text'])}")
        for note in row["notes"]:
            typer.echo(f"  note: {printable(note)}")
