"""`affectgpt synth`: write synthetic clips in the folder layout of MER2025, or of all of MER-UniBench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from affectgpt import api
from affectgpt.cli.options import progress_bars
from affectgpt.cli.standard_streams import echo

TEST_SETS = 9


def command(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    layout: Annotated[
        Literal["mer2025", "unibench"],
        typer.Option("--layout", help="A training set, or miniatures of the nine test sets of MER-UniBench."),
    ] = "mer2025",
    clips: Annotated[
        int | None,
        typer.Option("--clips", min=1, help="How many (of each test set).", show_default="320; 8 of each test set"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same clips.")] = 0,
    split: Annotated[
        Literal["train", "test"] | None,
        typer.Option("--split", help="Train and test never share a face, a voice or a stream.", show_default="train"),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="PART",
            help="What all clips and their descriptions lack: face, sound, speech or subtitle. May be repeated.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, max=256, help="Processes.")] = 2,
) -> None:
    """Write clips with drawn faces and synthesised voices whose combination is the emotion."""
    count = clips or (8 if layout == "unibench" else 320)
    with progress_bars() as progress:
        api.synth(
            folder,
            clips=count,
            seed=seed,
            split=split,
            layout=layout,
            without=without or (),
            workers=workers,
            progress=progress,
        )
    if layout == "unibench":
        echo(f"{TEST_SETS} test sets of {count} clips in {folder}")
    else:
        echo(f"{count} clips in {folder}")
