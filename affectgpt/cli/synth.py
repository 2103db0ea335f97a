"""`affectgpt synth`: write synthetic clips in the MER2025 folder layout."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import progress


class Split(str, Enum):
    """Which pool of identities and random streams is drawn from."""

    train = "train"
    test = "test"


def command(
    out: Annotated[Path, typer.Argument(help="The folder to write.", show_default=False)],
    clips: Annotated[int, typer.Option("--clips", min=1, help="How many.")] = 320,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same clips.")] = 0,
    split: Annotated[
        Split, typer.Option("--split", help="Train and test never share a face, a voice or a stream.")
    ] = Split.train,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")] = 2,
) -> None:
    """Write clips with drawn faces and synthesised voices whose combination is the emotion."""
    from affectgpt.data.synthetic.clips import generate

    with progress() as bar:
        task = bar.add_task(f"writing {split.value} clips", total=clips, note="")
        generate(
            out, clips=clips, seed=seed, split=split.value, workers=workers,
            progress=lambda done, total: bar.update(task, completed=done),
        )  # fmt: skip
    typer.echo(f"{clips} clips in {out}")
