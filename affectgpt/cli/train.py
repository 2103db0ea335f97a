"""`affectgpt train`: train a pipeline on a folder of clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import Config, Json, Plugin, Set, call_hooks, catalog_of, progress
from affectgpt.core.load_config import load_config
from affectgpt.core.place import check_place
from affectgpt.core.plan import make_plan
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.errors import CheckpointError


def command(
    context: typer.Context,
    config: Config,
    data: Annotated[Path, typer.Option(help="A folder in the MER2025 layout.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where to save the model.", show_default=False)],
    set_: Set = [],  # noqa: B006
    plugin: Plugin = [],  # noqa: B006
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that decode clips.")] = 2,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out clips that cannot be read.")] = False,
    as_json: Json = False,
) -> None:
    """Train a pipeline and save it."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    checked, source = load_config(config, catalog, set_)
    plan = make_plan(checked, catalog, source)
    check_place(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new folder")
    examples = read_mer2025(data)
    with progress() as bar:
        building = bar.add_task("building the pipeline", total=None, note="")
        from affectgpt.core.assembly import assemble
        from affectgpt.core.checkpoint import save
        from affectgpt.data.clips import read_samples
        from affectgpt.training.loop import train

        pipeline = assemble(plan, catalog, lambda name: bar.update(building, note=name))
        bar.update(building, total=1, completed=1, note="")
        call_hooks(catalog, "affectgpt_before_run", command="train", config=checked)
        reading = bar.add_task("reading clips", total=len(examples), note="")
        samples, broken = read_samples(
            examples, pipeline.prepare, checked.training.target, workers=workers, skip_broken=skip_broken,
            progress=lambda done, total: bar.update(reading, completed=done),
        )  # fmt: skip
        steps = bar.add_task("training", total=checked.training.steps, note="")
        history = train(
            pipeline, samples, lambda step, loss: bar.update(steps, completed=step, note=f"loss {loss:.3f}")
        )
    save(pipeline, out)
    result = {
        "model": str(out), "clips": len(samples), "skipped": [each.name for each in broken],
        "steps": len(history.losses), "seconds": round(history.seconds, 1),
        "first_loss": history.losses[0], "last_loss": history.losses[-1],
    }  # fmt: skip
    call_hooks(catalog, "affectgpt_after_run", command="train", config=checked, result=result)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    typer.echo(
        f"{result['steps']} steps on {len(samples)} clips in {history.seconds:.0f} s, loss {history.losses[0]:.3f} ->"
        f" {history.losses[-1]:.3f}; saved in {out}"
    )
    for each in broken:
        typer.echo(f"skipped {each.name}: {each.problem.what}", err=True)
