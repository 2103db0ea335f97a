"""`affectgpt train`: train a pipeline on clips, in one process or several, and go on with a run that was stopped."""

from __future__ import annotations

import json
import os
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.cli.options import Config, Json, Plugin, Set, call_hooks, catalog_of, progress
from affectgpt.core.load_config import load_config
from affectgpt.core.place import check_place
from affectgpt.core.plan import Plan, make_plan
from affectgpt.data.clip_list import read_clip_list
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from affectgpt.training.reading import Reading


class Decode(str, Enum):
    """When clips are decoded."""

    ONCE = "once"
    EACH_TIME = "each-time"


Data = Annotated[Path, typer.Option(help="A manifest, or a folder in the MER2025 layout.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where to save the model.", show_default=False)]
Run = Annotated[Path | None, typer.Option(help="The run's log and checkpoints.", show_default="OUT.run")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")]
Held = Annotated[Path | None, typer.Option(help="Clips to measure the loss on, never trained on.")]
Features = Annotated[Path | None, typer.Option(help="Features that `affectgpt encode` wrote, instead of decoding.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that read clips.")]
When = Annotated[Decode, typer.Option(help="Decode once and keep it in memory, or each time a clip is trained on.")]
Unreadable = Annotated[float, typer.Option(min=0, max=1, help="Share of clips that may be left out as unreadable.")]
# Of several processes the first alone prints and saves.
_FIRST = os.environ.get("RANK", "0") == "0"


def command(
    context: typer.Context,
    config: Config,
    data: Data,
    out: Out,
    run: Run = None,
    resume: Resume = False,
    validation: Held = None,
    features: Features = None,
    set_: Set = [],  # noqa: B006
    plugin: Plugin = [],  # noqa: B006
    workers: Workers = 2,
    decode: When = Decode.ONCE,
    allow_unreadable: Unreadable = 0.01,
    as_json: Json = False,
) -> None:
    """Train a pipeline and save it."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    checked, source = load_config(config, catalog, set_)
    plan = make_plan(checked, catalog, source)
    run = out.with_name(f"{out.name}.run") if run is None else run
    if resume and run.is_dir() and (out / "pipeline.yaml").is_file():
        typer.echo(f"this run is finished: {out} is its model; another run needs another --out")
        return
    _check_places(out, run)
    if features is not None and decode == Decode.EACH_TIME:
        raise ConfigError("with features nothing is decoded", where="--decode", found="each-time", hint="leave it out")
    examples = {"clips": read_clip_list(data)}
    if validation is not None:
        examples["held-out clips"] = read_clip_list(validation)
    bar = progress()
    bar.disable = not _FIRST
    with bar:
        from affectgpt.core.checkpoint import save
        from affectgpt.training.loop import train
        from affectgpt.training.run_folder import RunFolder

        folder = RunFolder(run)
        if not resume:
            folder.refuse_used()
        reading = _reading(bar, plan, catalog, features, decode == Decode.EACH_TIME, workers, allow_unreadable)
        call_hooks(catalog, "affectgpt_before_run", command="train", config=checked)
        samples, skipped = _read(bar, reading, examples)
        steps = bar.add_task("training", total=checked.training.steps, note="")
        history = train(
            reading.pipeline, samples["clips"], run=folder, resume=resume, workers=reading.ahead, on_note=_note,
            on_step=lambda step, loss: bar.update(steps, completed=step, note=f"loss {loss:.3f}"),
            validation=samples.get("held-out clips"),
        )  # fmt: skip
    if not _FIRST:
        return
    save(reading.pipeline, out)
    result = {
        "model": str(out), "run": str(run), "clips": len(samples["clips"]), "skipped": skipped,
        "steps": len(history.losses), "seconds": round(history.seconds, 1), "resumed": history.resumed,
        "first_loss": history.losses[0], "last_loss": history.losses[-1],
        "best": {"step": history.best.step, "validation_loss": history.best.loss} if history.best else None,
    }  # fmt: skip
    call_hooks(catalog, "affectgpt_after_run", command="train", config=checked, result=result)
    typer.echo(json.dumps(result, indent=1) if as_json else _told(result))


def _check_places(out: Path, run: Path) -> None:
    check_place(out)
    check_place(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new folder")
    if out.resolve() == run.resolve():
        raise ConfigError("the model and the run cannot be in one folder", where="--run", found=str(run))


def _reading(
    bar: Progress, plan: Plan, catalog: Catalog, features: Path | None, each_time: bool, workers: int, allowed: float
) -> Reading:
    from affectgpt.core.assembly import assemble
    from affectgpt.data.feature_cache.reading import FeatureCache
    from affectgpt.training.reading import Reading

    building = bar.add_task("building the pipeline", total=None, note="")
    cache = FeatureCache.open(features) if features is not None else None
    if cache is not None:
        cache.refuse_other(plan)
    without = cache.without if cache is not None else ()
    pipeline = assemble(plan, catalog, lambda name: bar.update(building, note=name), without=without)
    if cache is not None:
        cache.fill(pipeline)
    bar.update(building, total=1, completed=1, note="")
    return Reading(pipeline, cache, each_time, workers, allowed)


def _read(bar: Progress, reading: Reading, examples: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    samples, skipped = {}, []
    for what, clips in examples.items():
        task = bar.add_task(f"reading {what}", total=len(clips), note="")
        samples[what], broken = reading.read(clips, partial(_show, bar, task))
        for each in broken:
            _note(f"skipped {each.name}: {each.problem.what}")
        skipped += [each.name for each in broken]
    return samples, skipped


def _show(bar: Progress, task: Any, done: int, _: int) -> None:
    bar.update(task, completed=done)


def _note(text: str) -> None:
    if _FIRST:
        typer.echo(text, err=True)


def _told(result: dict[str, Any]) -> str:
    since = f" since step {result['resumed']}" if result["resumed"] else ""
    best = result["best"]
    kept = f", held-out loss {best['validation_loss']:.3f} at step {best['step']}" if best else ""
    return (
        f"{result['steps']} steps on {result['clips']} clips in {result['seconds']:.0f} s{since}, loss"
        f" {result['first_loss']:.3f} -> {result['last_loss']:.3f}{kept}; saved in {result['model']}"
    )
