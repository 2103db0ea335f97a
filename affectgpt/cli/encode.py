"""`affectgpt encode`: run frozen encoders once over every clip and store their tokens, for training that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from affectgpt import api
from affectgpt.cli.options import BatchSize, Json, OnDevice, Plugin, Set, catalog_of, progress_bars
from affectgpt.cli.printable import json_text, one_line
from affectgpt.cli.standard_streams import echo
from affectgpt.registry.errors import ConfigError

Manifest = Annotated[Path, typer.Argument(help="A manifest or a folder in the MER2025 layout.", show_default=False)]
Out = Annotated[Path, typer.Argument(help="The folder for the features, new or to be continued.", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option(help="A pipeline YAML file with frozen encoders.", show_default=False)]
Model = Annotated[
    Path | None, typer.Option(help="A saved model instead, or one on the Hub: owner/name.", show_default=False)
]
Encoders = Annotated[str | None, typer.Option(help="Only these, e.g. face,audio.", show_default="all of them")]
DType = Annotated[Literal["float32", "float16", "bfloat16"], typer.Option(help="How features are stored.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that decode clips, threads that hash files.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let a saved model's encoders read pickled weights (restricted).")
]
AllowUnreadable = Annotated[float, typer.Option(min=0, max=1, help="The share of clips that may be unreadable.")]


def command(
    context: typer.Context,
    manifest: Manifest,
    out: Out,
    config: ConfigFile = None,
    model: Model = None,
    encoders: Encoders = None,
    dtype: DType = "float32",
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    device: OnDevice = "auto",
    changes: Set = [],
    allow_pickle: AllowPickle = False,
    allow_unreadable: AllowUnreadable = 0.01,
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Run frozen encoders over all clips and keep what they give; goes on where an earlier run stopped."""
    _check_one_start(config, model, changes)
    start = config if config is not None else model
    assert start is not None
    with progress_bars() as progress:
        encoded = api.encode(
            start,
            manifest,
            out,
            *changes,
            encoders=None if encoders is None else [name.strip() for name in encoders.split(",")],
            dtype=dtype,
            batch_size=batch_size,
            workers=workers,
            device=device,
            allow_unreadable=allow_unreadable,
            allow_pickle=allow_pickle,
            plugins=catalog_of(context, plugins),
            progress=progress,
        )
    if as_json:
        row = {
            "cache": str(out),
            "encoders": list(encoded.encoders),
            "clips": encoded.clips,
            "new": encoded.new,
            "unreadable": [clip.name for clip in encoded.broken],
        }
        echo(json_text(row, indent=1))
        return
    echo(f"{out}: {encoded.clips} clips, {encoded.new} newly encoded by {', '.join(encoded.encoders)}")
    for clip in encoded.broken:
        typer.echo(one_line(f"skipped {clip.name}: {clip.problem.what}"), err=True)


def _check_one_start(config: Path | None, model: Path | None, changes: list[str]) -> None:
    if (config is None) == (model is None):
        raise ConfigError(
            "which encoders are to run?",
            where="the command line",
            found="neither --config nor --model" if model is None else "both --config and --model",
            expected="one of the two",
        )
    if model is not None and changes:
        raise ConfigError(
            "--set changes a config, not a saved model",
            where="--set",
            found=changes[0],
            hint="leave it out, or use --config",
        )
