"""`affectgpt generate`: write what a model says of every clip of one or more data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import (
    AllowPickle,
    BatchSize,
    Limit,
    Model,
    OnDevice,
    Plugin,
    Question,
    Sets,
    Shares,
    Workers,
    catalog_of,
    progress_bars,
)
from affectgpt.cli.standard_streams import echo


def command(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="The benchmark's folder, one data set's, a MER2025 folder, or a manifest (CSV, JSONL, Parquet).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the predictions, one KEY.jsonl each.", show_default=False)],
    model: Model = "tiny",
    sets: Sets = [],
    limit: Limit = None,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    question: Question = None,
    shares: Shares = True,
    device: OnDevice = "auto",
    allow_pickle: AllowPickle = False,
    plugins: Plugin = [],
) -> None:
    """Describe all clips of data sets and save the texts; goes on where an earlier run stopped."""
    from affectgpt import api

    with progress_bars() as progress:
        files = api.predict(
            model,
            data,
            out,
            sets=sets,
            limit=limit,
            batch_size=batch_size,
            workers=workers,
            question=question,
            shares=shares,
            device=device,
            allow_pickle=allow_pickle,
            plugins=catalog_of(context, plugins),
            progress=progress,
        )
    for path, rows, new in files:
        echo(f"{path}: {rows} rows, {new} new")
