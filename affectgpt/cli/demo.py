"""`affectgpt demo`: synthetic clips, four small models trained on them, a table, and two described clips."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from affectgpt.cli.options import Json, catalog_of, console, progress
from affectgpt.cli.printable import json_text
from affectgpt.core.saved.destination import check_place
from affectgpt.registry.errors import CheckpointError, MediaError


def command(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Keep the clips and the trained model here.", show_default="not kept")
    ] = None,
    train: Annotated[int, typer.Option(min=16, help="Training clips.")] = 640,
    test: Annotated[int, typer.Option(min=16, help="Held-out clips, with other faces and voices.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of the clips and of the training.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    clip: Annotated[list[Path], typer.Option(help="Also describe this clip. May be repeated.")] = [],
    as_json: Json = False,
) -> None:
    """Train the small model on synthetic clips and compare it with what one modality alone can tell."""
    from affectgpt.demo.run import VARIANTS, read_clips, run_variants, variant_plan, write_clips

    catalog = catalog_of(context, [])
    catalog.load_deferred()
    for path in clip:
        if not path.is_file():
            raise MediaError("there is no such file", where=str(path), expected="a media file")
    if out is not None:
        check_place(out)
        if (out / "model").exists():
            raise CheckpointError(
                "there is something at this place already", where=str(out / "model"), hint="choose a new folder"
            )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="affectgpt-demo-") as temporary, progress() as bar:
        folder = out if out is not None else Path(temporary)
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, note="")
            bar.update(tasks[what], completed=done)

        write_clips(folder, train=train, test=test, seed=seed, workers=workers, progress=tell)
        samples = read_clips(folder, variant_plan("full model", catalog, seed), catalog, workers, tell)
        jobs = [(name, seed) for name in VARIANTS]
        rows = list(run_variants(jobs, samples, workers=workers, save_first=folder / "model", progress=tell))
        rows.sort(key=lambda row: list(VARIANTS).index(row.name))
        bar.stop()
        took = time.perf_counter() - started
        held_out = folder / "test" / "video" / f"{samples['test'][0].name}.mp4"
        described = _describe(folder / "model", [held_out, *clip], catalog, samples["test"][0].subtitle)
    if as_json:
        result = {
            "rows": [asdict(row) for row in rows],
            "described": [asdict(each) for each in described],
            "truth": samples["test"][0].description,
            "seconds": round(took, 1),
        }
        typer.echo(json_text(result, indent=1))
        return
    _print(rows, described, samples["test"][0].description, train, test, took)


def _describe(model: Path, files: list[Path], catalog: Any, subtitle: str) -> list[Any]:
    from affectgpt.core.saved.model import load
    from affectgpt.serving.describe import describe

    pipeline = load(model, catalog)
    rows = list(describe(pipeline, files[:1], subtitle=subtitle))
    return rows + list(describe(pipeline, files[1:]))


def _print(rows: list[Any], described: list[Any], truth: str, train: int, test: int, took: float) -> None:
    from rich.table import Table

    from affectgpt.cli.describe import show

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    for column in ("emotion right", "label F1", "trained parameters", "training"):
        table.add_column(column, justify="right")
    for row in rows:
        score = (f"{row.score.exact:.1%}", f"{row.score.f1:.3f}")
        table.add_row(row.name, *score, f"{row.parameters:,}", f"{row.seconds:.0f} s")
    clips = f"{train} training clips, {test} held-out clips with other faces and voices"
    out.print(f"\n{clips}, 16 emotions; {took:.0f} s in all\n")
    out.print(table)
    out.print("\nA held-out clip; its true description:", f"  {truth}", sep="\n", markup=False)
    show(described[:1])
    if described[1:]:
        out.print("\nClips from outside, which the small model was never trained for:")
        show(described[1:])
