"""`affectgpt score`: score saved predictions; needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from affectgpt.cli.options import (
    Extractor,
    ExtractorOptions,
    Json,
    OnMissing,
    OnUnreadable,
    Plugin,
    Resamples,
    Seed,
    Wheels,
    catalog_of,
    console,
    progress_bars,
)
from affectgpt.cli.printable import json_text
from affectgpt.cli.standard_streams import echo
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from affectgpt.api import Score

Task = Literal["fine-grained", "basic", "sentiment"]


def command(
    context: typer.Context,
    predictions: Annotated[
        Path,
        typer.Argument(
            help="A file of predictions (JSONL, CSV, JSON object, .npz); with --data a folder of KEY.jsonl.",
            show_default=False,
        ),
    ],
    truth: Annotated[Path | None, typer.Option(help="A file of true labels (JSONL, CSV, JSON object, .npz).")] = None,
    task: Annotated[Task | None, typer.Option(help="What the true labels are.")] = None,
    data: Annotated[Path | None, typer.Option(help="Take the truth from data sets: as in `generate`.")] = None,
    sets: Annotated[list[str], typer.Option("--sets", help="Only this data set, e.g. mer2023. May be repeated.")] = [],
    wheels: Wheels = None,
    extractor: Extractor = "lexicon",
    extractor_options: ExtractorOptions = [],
    read: Annotated[Literal["auto", "labels", "text"], typer.Option(help="What the predictions are.")] = "auto",
    column: Annotated[
        str | None, typer.Option("--field", help="The field or column that holds the predictions.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id-field", help="The field or column that holds the ids, in each file.")
    ] = None,
    truth_column: Annotated[
        str | None, typer.Option("--truth-field", help="The field or column that holds the true labels.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Another system's predictions: a paired test.")] = None,
    missing: OnMissing = "error",
    unreadable: OnUnreadable = "wrong",
    resamples: Resamples = 1000,
    seed: Seed = 0,
    system: Annotated[str | None, typer.Option(help="The system's name in reports.", show_default="the file's")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the reports and the labels read out.")] = None,
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Score predictions with intervals; `--data` for whole data sets, `--truth` and `--task` for any two files."""
    _check_truth(truth, task, data, sets)
    from affectgpt import api

    with progress_bars() as progress:
        options: dict[str, Any] = {
            "column": column,
            "id_column": id_column,
            "read": read,
            "wheels": wheels,
            "extractor": extractor,
            "extractor_options": api.parse_options(extractor_options),
            "resamples": resamples,
            "seed": seed,
            "missing": missing,
            "unreadable": unreadable,
            "unknown": "exclude",
            "against": against,
            "system": system,
            "out": out,
            "plugins": catalog_of(context, plugins),
            "progress": progress,
        }
        if truth is not None:
            score = api.score(predictions, truth, task=task, truth_column=truth_column, **options)
        else:
            assert data is not None
            score = api.score_benchmark(predictions, data, sets=sets, **options)
    show(score, as_json=as_json)


def show(score: Score, *, as_json: bool) -> None:
    """Print a score, and the names of the files that it was written to."""
    if as_json:
        echo(json_text(score.to_dict(), indent=1))
        return
    console().print(score)
    for path in score.files:
        echo(f"written: {path}")


def _check_truth(truth: Path | None, task: Task | None, data: Path | None, sets: list[str]) -> None:
    if (truth is None) == (data is None):
        raise ConfigError(
            "the truth must be given one way",
            where="the command line",
            found="both --truth and --data" if truth else "neither --truth nor --data",
            expected="--truth FILE --task TASK, or --data FOLDER",
        )
    if truth is not None and task is None:
        raise ConfigError(
            "a file of true labels needs its task", where="--task", expected="fine-grained, basic, sentiment"
        )
    if data is not None and task is not None:
        raise ConfigError(
            "--task goes with --truth", where="--task", hint="leave it out: the data sets say what they are"
        )
    if truth is not None and sets:
        raise ConfigError("--sets goes with --data", where="--sets", hint="leave it out")
