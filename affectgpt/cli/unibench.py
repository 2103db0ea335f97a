"""`affectgpt unibench`: a model's whole benchmark in one command: predictions, scores, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt.bundled import TINY
from affectgpt.cli.generate import (
    AllowPickle,
    BatchSize,
    Device,
    Limit,
    Model,
    OnDevice,
    Question,
    Sets,
    Workers,
    predict,
)
from affectgpt.cli.options import Json, Plugin, catalog_of, progress
from affectgpt.cli.score import (
    Extractor,
    ExtractorSet,
    Missing,
    OnUnreadable,
    Resamples,
    Seed,
    Unreadable,
    Wheels,
    run,
    scorer,
    show,
    truths_in,
)
from affectgpt.registry.errors import ConfigError, DataError


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="The folder for predictions, labels and reports.", show_default=False)],
    data: Annotated[Path | None, typer.Option(help="The benchmark's folder, or one data set's.")] = None,
    synthetic: Annotated[
        int | None, typer.Option(min=1, help="Use synthetic data in the nine layouts, so many clips each, in OUT/data.")
    ] = None,
    model: Model = TINY,
    sets: Sets = [],
    limit: Limit = None,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    question: Question = None,
    device: OnDevice = Device.auto,
    allow_pickle: AllowPickle = False,
    wheels: Wheels = None,
    extractor: Extractor = "lexicon",
    set_: ExtractorSet = [],
    unreadable: OnUnreadable = Unreadable.wrong,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    plugin: Plugin = [],
    as_json: Json = False,
) -> None:
    """Generate and score in one go; after a kill, the same command goes on where it stopped."""
    if (data is None) == (synthetic is None):
        raise ConfigError(
            "the data must be given one way", where="the command line", expected="--data FOLDER, or --synthetic N"
        )
    catalog = catalog_of(context, plugin)
    made = scorer(catalog, wheels, extractor, set_, resamples, seed, Missing.error, unreadable, out)
    from affectgpt.files.locks import alone
    from affectgpt.unibench.clip_values import value_file
    from affectgpt.unibench.score_run import pairs_of
    from affectgpt.unibench.sources import check_sets

    sets = check_sets(sets)
    truths = truths_in(data, sets, limit) if data else []
    with alone(out):
        root = data or _synthetic(out / "data", synthetic or 1, workers)
        truths = truths or truths_in(root, sets, limit)
        paths = predict(
            catalog,
            root,
            out / "predictions",
            model=model,
            sets=sets,
            limit=limit,
            batch_size=batch_size,
            workers=workers,
            question=question,
            device=device,
            allow_pickle=allow_pickle,
        )
        files = {path.stem: value_file(path) for path in paths}
        show(run(made, model.resolve().name, pairs_of(truths, files, {})), out, as_json=as_json)


def _synthetic(folder: Path, clips: int, workers: int) -> Path:
    """The synthetic benchmark in `folder`, written unless it is there already."""
    from affectgpt.synthetic.unibench import is_written, remove_leftovers, write_unibench

    if not is_written(folder, clips_per_set=clips, seed=0):
        if (folder.parent / "predictions").exists():
            raise DataError(
                "there are predictions of other synthetic data here",
                where=str(folder.parent),
                expected=f"no predictions, or those of --synthetic {clips}",
                hint="choose another folder",
            )
        remove_leftovers(folder)
        with progress() as bar:
            task = bar.add_task("writing synthetic data", total=None, note="")
            write_unibench(
                folder,
                clips_per_set=clips,
                seed=0,
                workers=max(1, workers),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    return folder
