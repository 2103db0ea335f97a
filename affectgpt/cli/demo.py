"""`affectgpt demo`: synthetic clips, four small models trained on them, a table, and two described clips."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affectgpt import api
from affectgpt.cli.describe import show
from affectgpt.cli.options import Json, Set, catalog_of, console, progress_bars
from affectgpt.cli.printable import json_text
from affectgpt.cli.standard_streams import echo

if TYPE_CHECKING:
    from affectgpt.api import Demo


def command(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Keep the clips and the trained model here.", show_default="not kept")
    ] = None,
    train: Annotated[int, typer.Option(min=16, help="Training clips.")] = 640,
    test: Annotated[int, typer.Option(min=16, help="Held-out clips, with other faces and voices.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of the clips and of the training.")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes.")] = 2,
    clips: Annotated[list[Path], typer.Option("--clip", help="Also describe this clip. May be repeated.")] = [],
    set_: Set = [],
    as_json: Json = False,
) -> None:
    """Train the small model on synthetic clips and compare it with what one modality alone can tell."""
    with progress_bars() as progress:
        demo = api.run_demo(
            out,
            *set_,
            train=train,
            test=test,
            seed=seed,
            workers=workers,
            clips=clips,
            plugins=catalog_of(context, []),
            progress=progress,
        )
    if not as_json:
        _print_demo(demo, train, test)
        return
    result = {
        "rows": [asdict(row) for row in demo.rows],
        "described": [asdict(row) for row in demo.described],
        "truth": demo.truth,
        "seconds": round(demo.seconds, 1),
    }
    echo(json_text(result, indent=1))


def _print_demo(demo: Demo, train: int, test: int) -> None:
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    for column in ("emotion right", "label F1", "trained parameters", "training"):
        table.add_column(column, justify="right")
    for row in demo.rows:
        score = (f"{row.score.exact:.1%}", f"{row.score.f1:.3f}")
        table.add_row(row.name, *score, f"{row.parameters:,}", f"{row.seconds:.0f} s")
    clips = f"{train} training clips, {test} held-out clips with other faces and voices"
    out.print(f"\n{clips}, 16 emotions; {demo.seconds:.0f} s in all\n")
    out.print(table)
    out.print("\nA held-out clip; its true description:", f"  {demo.truth}", sep="\n", markup=False)
    show(demo.described[:1])
    if demo.described[1:]:
        out.print("\nClips from outside, which the small model was never trained for:")
        show(demo.described[1:])
