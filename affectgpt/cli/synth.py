"""`affectgpt synth`: write synthetic clips in the folder layout of MER2025, or of all of MER-UniBench."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import progress
from affectgpt.registry.errors import ConfigError


class Layout(str, Enum):
    """Which folders are written."""

    mer2025 = "mer2025"
    unibench = "unibench"


class Split(str, Enum):
    """Which pool of identities and random streams is drawn from."""

    train = "train"
    test = "test"


def command(
    out: Annotated[Path, typer.Argument(help="The folder to write.", show_default=False)],
    layout: Annotated[
        Layout, typer.Option("--layout", help="A training set, or miniatures of the nine test sets of MER-UniBench.")
    ] = Layout.mer2025,
    clips: Annotated[
        int | None,
        typer.Option("--clips", min=1, help="How many (of each test set).", show_default="320; 8 of each test set"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same clips.")] = 0,
    split: Annotated[
        Split | None,
        typer.Option("--split", help="Train and test never share a face, a voice or a stream.", show_default="train"),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.")] = 2,
) -> None:
    """Write clips with drawn faces and synthesised voices whose combination is the emotion."""
    if layout is Layout.unibench:
        _write_unibench(out, 8 if clips is None else clips, seed, split, workers)
        return
    from affectgpt.synthetic.clips import generate

    clips, split = 320 if clips is None else clips, split or Split.train
    with progress() as bar:
        task = bar.add_task(f"writing {split.value} clips", total=clips, note="")
        generate(
            out,
            clips=clips,
            seed=seed,
            split=split.value,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    typer.echo(f"{clips} clips in {out}")


def _write_unibench(out: Path, clips: int, seed: int, split: Split | None, workers: int) -> None:
    if split is Split.train:
        raise ConfigError(
            "the test sets of MER-UniBench are made of test clips",
            where="--split",
            found="train",
            expected="test",
            hint="leave --split out",
        )
    from affectgpt.synthetic.unibench import write_unibench
    from affectgpt.unibench.datasets.layouts import TEST_SETS

    with progress() as bar:
        task = bar.add_task("writing test sets", total=None, note="")
        write_unibench(
            out,
            clips_per_set=clips,
            seed=seed,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{len(TEST_SETS)} test sets of {clips} clips in {out}")
