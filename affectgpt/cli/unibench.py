"""`affectgpt unibench`: a model's whole benchmark in one command: predictions, scores, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import (
    AllowPickle,
    BatchSize,
    Extractor,
    ExtractorOptions,
    Json,
    Limit,
    Model,
    OnDevice,
    OnUnreadable,
    Plugin,
    Question,
    Resamples,
    Seed,
    Sets,
    Wheels,
    Workers,
    catalog_of,
    progress_bars,
)
from affectgpt.cli.score import show


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The folder for predictions, labels and reports.", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="The benchmark's folder, or one data set's.")] = None,
    synthetic: Annotated[
        int | None, typer.Option(min=1, help="Use synthetic data in the nine layouts, so many clips each, in OUT/data.")
    ] = None,
    model: Model = "tiny",
    sets: Sets = [],
    limit: Limit = None,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    question: Question = None,
    device: OnDevice = "auto",
    allow_pickle: AllowPickle = False,
    wheels: Wheels = None,
    extractor: Extractor = "lexicon",
    extractor_options: ExtractorOptions = [],
    unreadable: OnUnreadable = "wrong",
    resamples: Resamples = 1000,
    seed: Seed = 0,
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Generate and score in one go; after a kill, the same command goes on where it stopped."""
    from affectgpt import api

    with progress_bars() as progress:
        score = api.unibench(
            model,
            data,
            out,
            synthetic=synthetic,
            sets=sets,
            limit=limit,
            batch_size=batch_size,
            workers=workers,
            question=question,
            device=device,
            allow_pickle=allow_pickle,
            wheels=wheels,
            extractor=extractor,
            extractor_options=api.parse_options(extractor_options),
            unreadable=unreadable,
            resamples=resamples,
            seed=seed,
            plugins=catalog_of(context, plugins),
            progress=progress,
        )
    show(score, as_json=as_json)
