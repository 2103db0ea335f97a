"""`affectgpt convert`: a checkpoint of the released AffectGPT into a saved model, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from affectgpt import api
from affectgpt.cli.options import Json, catalog_of, progress_bars
from affectgpt.cli.printable import json_text, printable
from affectgpt.cli.standard_streams import echo

if TYPE_CHECKING:
    from affectgpt.api import ConversionReport

app = typer.Typer(no_args_is_help=True, help="Convert checkpoints of the released AffectGPT, and back.")
_MODEL = "A model's folder, or its name."


@app.command("affectgpt")
def affectgpt(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="A .pth file of the original.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where to save the model.", show_default=False)],
    source: Annotated[
        Path | None, typer.Option(help="Your copy of the original's source; its wording is read, nothing is run.")
    ] = None,
    prompt: Annotated[Path | None, typer.Option(help="A YAML file with the wording, instead of --source.")] = None,
    llm: Annotated[str, typer.Option(help=_MODEL)] = "Qwen/Qwen2.5-7B-Instruct",
    vision: Annotated[str, typer.Option(help=_MODEL)] = "openai/clip-vit-large-patch14",
    speech: Annotated[str, typer.Option(help=_MODEL)] = "TencentGameMate/chinese-hubert-large",
    bert: Annotated[
        Path | None, typer.Option(help="A folder with the config.json of the Q-Formers' BERT. [bert-base-uncased's]")
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="In which the LLM's weights are held.")
    ] = "bfloat16",
    face_or_frame: Annotated[
        str | None, typer.Option(help="What is read, as the original calls it; default: as the checkpoint says.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Answer by sampling, as the original does, not greedily.")
    ] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Let encoders without safetensors read a .bin (weights only).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a saved model of a released checkpoint and three public model folders."""
    with progress_bars() as bars:
        report = api.convert(
            checkpoint,
            out,
            source=source,
            prompt=prompt,
            llm=llm,
            vision=vision,
            speech=speech,
            bert=bert,
            dtype=dtype,
            face_or_frame=face_or_frame,
            sample=sample,
            allow_pickle=allow_pickle,
            plugins=catalog_of(context, []),
            progress=bars,
        )
    _print(report, out, as_json)


@app.command("back")
def back(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A saved model that was converted.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The .pth file to write.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write a converted model, trained further or not, as a checkpoint of the original."""
    _print(api.export(folder, out, plugins=catalog_of(context, [])), out, as_json)


def _print(report: ConversionReport, out: Path, as_json: bool) -> None:
    facts: dict[str, Any] = dict(report.as_json())
    if as_json:
        echo(json_text({"out": str(out), **facts}, indent=1))
        return
    counts = facts["counts"]
    tensors = sum(counts.values()) - counts["not carried"]
    echo(f"{tensors} tensors: {counts['mapped']} mapped, {counts['tied']} tied, {counts['kept']} kept beside")
    for row in [*report.with_fate("tied"), *report.with_fate("kept"), *report.with_fate("not carried")]:
        echo(printable(f"  {row.fate:<12}{row.name}" + (f": {row.why}" if row.why else "")))
    for note in report.notes:
        echo(printable(f"note: {note}"))
    echo(printable(f"wrote {out}"))
