"""`affectgpt train`: train a pipeline on clips, in one process or several, and continue a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from affectgpt import api
from affectgpt.cli.options import Json, Plugin, Set, catalog_of, progress_bars
from affectgpt.cli.printable import json_text
from affectgpt.cli.standard_streams import echo

if TYPE_CHECKING:
    from affectgpt.api import TrainResult

Start = Annotated[
    Path,
    typer.Argument(help="A pipeline YAML file, or the folder of a saved model to train further.", show_default=False),
]
Data = Annotated[Path, typer.Option(help="A manifest, or a folder in the MER2025 layout.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where to save the model.", show_default=False)]
Run = Annotated[Path | None, typer.Option(help="The run's log and checkpoints.", show_default="OUT.run")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")]
Validation = Annotated[Path | None, typer.Option(help="Clips to measure the loss on, never trained on.")]
Features = Annotated[Path | None, typer.Option(help="Features that `affectgpt encode` wrote, instead of decoding.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that read clips.")]
Decode = Annotated[
    Literal["once", "each-time"],
    typer.Option(help="Decode once and keep it in memory, or each time a clip is trained on."),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let a saved model's encoders read pickled weights (restricted).")
]
AllowUnreadable = Annotated[
    float, typer.Option(min=0, max=1, help="Share of clips that may be left out as unreadable.")
]


def command(
    context: typer.Context,
    config: Start,
    data: Data,
    out: Out,
    run: Run = None,
    resume: Resume = False,
    validation: Validation = None,
    features: Features = None,
    changes: Set = [],
    plugins: Plugin = [],
    workers: Workers = 2,
    decode: Decode = "once",
    allow_unreadable: AllowUnreadable = 0.01,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Train a pipeline and save it."""
    with progress_bars() as progress:
        result = api.train(
            config,
            data,
            *changes,
            out=out,
            run=run,
            resume=resume,
            validation=validation,
            features=features,
            decode=decode,
            workers=workers,
            allow_unreadable=allow_unreadable,
            allow_pickle=allow_pickle,
            plugins=catalog_of(context, plugins),
            progress=progress,
        )
    if result.is_main_process:
        echo(json_text(result.to_dict(), indent=1) if as_json else _format_result(result))


def _format_result(result: TrainResult) -> str:
    finished = "this run is finished: " if result.finished_before else ""
    resumed = f" since step {result.resumed}" if result.resumed else ""
    best = result.best
    held_out = f", held-out loss {best.validation_loss:.3f} at step {best.step}" if best else ""
    return (
        f"{finished}{result.steps} steps on {result.clips} clips in {result.seconds:.0f} s{resumed}, loss"
        f" {result.first_loss:.3f} -> {result.last_loss:.3f}{held_out}; saved in {result.model}"
    )
