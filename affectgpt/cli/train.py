"""`affectgpt train`: train a pipeline on clips, in one process or several, and go on with a run that was stopped."""

from __future__ import annotations

import os
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.cli.options import Json, Plugin, Set, call_hooks, catalog_of, progress
from affectgpt.core.load_config import load_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.destination import check_place
from affectgpt.core.saved.extras import copy_released
from affectgpt.data.datasets import read_clip_list
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from affectgpt.core.pipeline import Pipeline
    from affectgpt.core.saved.initial import Beginning
    from affectgpt.data.feature_cache.reader import FeatureCache
    from affectgpt.training.result import Result
    from affectgpt.training.sample_source import Reading


class Decode(str, Enum):
    """When clips are decoded."""

    ONCE = "once"
    EACH_TIME = "each-time"


Begin = Annotated[
    Path,
    typer.Argument(help="A pipeline YAML file, or the folder of a saved model to train further.", show_default=False),
]
Data = Annotated[Path, typer.Option(help="A manifest, or a folder in the MER2025 layout.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where to save the model.", show_default=False)]
Run = Annotated[Path | None, typer.Option(help="The run's log and checkpoints.", show_default="OUT.run")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")]
Held = Annotated[Path | None, typer.Option(help="Clips to measure the loss on, never trained on.")]
Features = Annotated[Path | None, typer.Option(help="Features that `affectgpt encode` wrote, instead of decoding.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that read clips.")]
When = Annotated[Decode, typer.Option(help="Decode once and keep it in memory, or each time a clip is trained on.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let a saved model's encoders read pickled weights (restricted).")
]
Unreadable = Annotated[float, typer.Option(min=0, max=1, help="Share of clips that may be left out as unreadable.")]
# Of several processes the first alone prints and saves.
_FIRST = os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


def command(
    context: typer.Context,
    config: Begin,
    data: Data,
    out: Out,
    run: Run = None,
    resume: Resume = False,
    validation: Held = None,
    features: Features = None,
    set_: Set = [],
    plugin: Plugin = [],
    workers: Workers = 2,
    decode: When = Decode.ONCE,
    allow_unreadable: Unreadable = 0.01,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Train a pipeline and save it."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    plan, beginning = _planned(config, catalog, set_, allow_pickle)
    run = Path(f"{out}.run") if run is None else run
    _refuse_places(config, out, run)
    if features is not None and decode == Decode.EACH_TIME:
        raise ConfigError("with features nothing is decoded", where="--decode", found="each-time", hint="leave it out")
    examples = {"clips": read_clip_list(data)}
    if validation is not None:
        examples["held-out clips"] = read_clip_list(validation)
    from affectgpt.core.saved.model import read_adapter, save
    from affectgpt.data.feature_cache.keys import fingerprint
    from affectgpt.training.result import Best, Ending, Result

    cache = _cache(plan, features)
    began_with = fingerprint({**beginning.tensors, **read_adapter(config)}) if beginning is not None else ""
    ending = Ending(run, out, plan.config, examples, began_with, cache.digest() if cache is not None else "")
    finished = ending.read() if resume else None
    if finished is not None:
        if _FIRST:
            told = finished.model_copy(update={"model": str(out), "run": str(run)})
            _tell(told, as_json, "this run is finished: ")
        return
    _check_empty(out)
    bar = progress()
    bar.disable = not _FIRST
    with bar:
        from affectgpt.training.loop import train
        from affectgpt.training.parameter_groups import parameter_groups
        from affectgpt.training.run_folder import RunFolder
        from affectgpt.training.sample_source import Reading

        folder = RunFolder(run)
        if not resume:
            folder.refuse_used()
        pipeline = _built(bar, plan, catalog, cache, beginning)
        reading = Reading(pipeline, cache, decode == Decode.EACH_TIME, workers, allow_unreadable)
        # It refuses rates that nothing has: before all clips are read.
        parameter_groups(pipeline, plan.config.training)
        call_hooks(catalog, "affectgpt_before_run", command="train", config=plan.config)
        samples, skipped = _read(bar, reading, examples)
        steps = bar.add_task("training", total=plan.config.training.steps, note="")
        history = train(
            pipeline,
            samples["clips"],
            run=folder,
            resume=resume,
            workers=reading.ahead,
            on_note=_note,
            on_step=lambda step, loss: bar.update(steps, completed=step, note=f"loss {loss:.3f}"),
            validation=samples.get("held-out clips"),
            began_with=began_with,
        )
    if not _FIRST:
        return
    best = history.best
    result = Result(
        model=str(out),
        run=str(run),
        clips=len(samples["clips"]),
        skipped=skipped,
        steps=len(history.losses),
        seconds=round(history.seconds, 1),
        resumed=history.resumed,
        first_loss=history.losses[0],
        last_loss=history.losses[-1],
        best=Best(step=best.step, validation_loss=best.loss) if best else None,
    )
    ending.write(pipeline, result)
    # With it, a model that was converted and trained further can be converted back.
    save(pipeline, out, also=None if beginning is None else partial(copy_released, config))
    call_hooks(catalog, "affectgpt_after_run", command="train", config=plan.config, result=result.model_dump())
    _tell(result, as_json)


def _refuse_places(begin: Path, out: Path, run: Path) -> None:
    """Raise ConfigError when the model, the run and what is trained would lie in one another."""
    places = {"--out": Path(os.path.realpath(out)), "--run": Path(os.path.realpath(run))}
    begun = Path(os.path.realpath(begin))
    if Path.cwd().is_relative_to(places["--out"]):
        raise ConfigError(
            "this folder holds the one that you are in", where="--out", found=str(out), hint="name a new folder"
        )
    for option, place in places.items():
        if begin.is_dir() and place.is_relative_to(begun) and place != begun:
            raise ConfigError(
                "this lies in the model that is to be trained",
                where=option,
                found=str(place),
                expected=f"a folder outside {begin}",
            )
    if places["--run"].is_relative_to(places["--out"]):
        raise ConfigError(
            "the model and the run cannot be in one folder",
            where="--run",
            found=str(run),
            hint=f"name a folder outside {out}",
        )
    if begin.is_dir() and places["--run"] == begun:
        raise ConfigError("this is the model that is to be trained", where="--run", found=str(run))
    check_place(out)
    check_place(run)


def _check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new folder")


def _planned(begin: Path, catalog: Catalog, changes: list[str], allow_pickle: bool) -> tuple[Plan, Beginning | None]:
    """The plan, and the saved model that it begins with."""
    if begin.is_dir():
        from affectgpt.core.saved.initial import read_beginning

        beginning = read_beginning(begin, catalog, changes, allow_pickle=allow_pickle)
        return beginning.plan, beginning
    if not begin.exists():
        raise ConfigError(
            "there is no such file or folder",
            where=str(begin),
            expected="a pipeline YAML file, or the folder of a saved model",
        )
    checked, source = load_config(begin, catalog, changes)
    if begin.name == "pipeline.yaml" and (begin.parent / "model.safetensors").is_file():
        raise ConfigError(
            "this is a saved model's config, which does not hold its weights",
            where=str(begin),
            hint=f"to train the model further give its folder, {begin.parent}; to begin from nothing, copy the file",
        )
    if allow_pickle:
        raise ConfigError(
            "--allow-pickle is for a saved model",
            where=str(begin),
            hint="in a pipeline file it is an option of the encoder: allow_pickle: true",
        )
    return make_plan(checked, catalog, source), None


def _cache(plan: Plan, features: Path | None) -> FeatureCache | None:
    from affectgpt.data.feature_cache.reader import FeatureCache

    cache = FeatureCache.open(features) if features is not None else None
    if cache is not None:
        cache.refuse_other(plan)
    return cache


def _built(
    bar: Progress, plan: Plan, catalog: Catalog, cache: FeatureCache | None, beginning: Beginning | None
) -> Pipeline:
    from affectgpt.core.assembly import assemble

    building = bar.add_task("building the pipeline", total=None, note="")
    without = cache.without if cache is not None else ()
    pipeline = assemble(plan, catalog, lambda name: bar.update(building, note=name), without=without)
    if beginning is not None:
        beginning.fill(pipeline)
    if cache is not None:
        (cache.fill if beginning is None else cache.refuse_other_weights)(pipeline)
    bar.update(building, total=1, completed=1, note="")
    return pipeline


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


def _tell(result: Result, as_json: bool, before: str = "") -> None:
    typer.echo(result.model_dump_json(indent=1) if as_json else before + _told(result))


def _told(result: Result) -> str:
    since = f" since step {result.resumed}" if result.resumed else ""
    best = result.best
    kept = f", held-out loss {best.validation_loss:.3f} at step {best.step}" if best else ""
    return (
        f"{result.steps} steps on {result.clips} clips in {result.seconds:.0f} s{since}, loss"
        f" {result.first_loss:.3f} -> {result.last_loss:.3f}{kept}; saved in {result.model}"
    )
