"""`affectgpt generate`: write what a model says of every clip of one or more data sets."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from affectgpt.bundled import TINY
from affectgpt.cli.options import Plugin, call_hooks, catalog_of, progress, saved_model
from affectgpt.registry.catalog import Catalog


class Device(str, Enum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Model = Annotated[
    Path,
    typer.Option(
        help="A saved model: a folder, or OWNER/NAME[@REVISION] on the Hub.", show_default="the small bundled one"
    ),
]
Sets = Annotated[list[str], typer.Option("--sets", help="Only this data set, e.g. mer2023. May be repeated.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first clips of each data set.")]
BatchSize = Annotated[int, typer.Option(min=1, max=1024, help="Clips at a time.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that decode clips.")]
Question = Annotated[str | None, typer.Option(help="What to ask instead of the model's own question.")]
OnDevice = Annotated[Device, typer.Option(help="Where the model runs; auto takes a GPU when there is one.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let the model's encoders read pickled weights (restricted).")
]


def command(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="The benchmark's folder, one data set's, a MER2025 folder, or a manifest (CSV, JSONL, Parquet).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the predictions, one KEY.jsonl each.", show_default=False)],
    model: Model = TINY,
    sets: Sets = [],
    limit: Limit = None,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    question: Question = None,
    device: OnDevice = Device.auto,
    allow_pickle: AllowPickle = False,
    plugin: Plugin = [],
) -> None:
    """Describe all clips of data sets and save the texts; goes on where an earlier run stopped."""
    catalog = catalog_of(context, plugin)
    rows = predict(
        catalog,
        data,
        out,
        model=model,
        sets=sets,
        limit=limit,
        batch_size=batch_size,
        workers=workers,
        question=question,
        device=device,
        allow_pickle=allow_pickle,
    )
    for path, (new, total) in rows.items():
        typer.echo(f"{path}: {total} rows, {new} new")


def predict(
    catalog: Catalog,
    data: Path,
    out: Path,
    *,
    model: Path,
    sets: list[str],
    limit: int | None,
    batch_size: int,
    workers: int,
    question: str | None,
    device: Device,
    allow_pickle: bool,
) -> dict[Path, tuple[int, int]]:
    """Run [affectgpt.unibench.predictions.generate][] over all data sets, with progress; (new rows, rows) per file."""
    from affectgpt.unibench.sources import read_sources

    sources = read_sources(data, sets, limit=limit)
    catalog.load_deferred()
    model = saved_model(model)
    with progress() as bar:
        loading = bar.add_task("loading the model", total=None, note="")
        pipeline = loaded(model, catalog, device, allow_pickle, lambda name: bar.update(loading, note=name))
        from affectgpt.unibench.predictions import generate, model_name

        name = model_name(model)
        bar.update(loading, total=1, completed=1, note=name)
        config = pipeline.plan.config
        call_hooks(catalog, "affectgpt_before_run", command="generate", config=config)
        rows = {}
        for source in sources:
            task = bar.add_task(source.title, total=len(source.examples), note="")
            path = out / f"{source.key}.jsonl"
            new = generate(
                pipeline,
                name,
                source,
                path,
                batch_size=batch_size,
                workers=workers,
                question=question,
                progress=_shown_in(bar, task),
            )
            rows[path] = (new, len(source.examples))
    call_hooks(
        catalog, "affectgpt_after_run", command="generate", config=config, result={str(k): v for k, v in rows.items()}
    )
    return rows


def _shown_in(bar: Any, task: Any) -> Callable[[int, int], None]:
    return lambda done, _: bar.update(task, completed=done)


def loaded(model: Path, catalog: Catalog, device: Device, allow_pickle: bool, tell: Any) -> Any:
    """The saved model on its device. Raises ConfigError for a device that is not there."""
    import torch

    from affectgpt.core.saved.model import load
    from affectgpt.registry.errors import ConfigError

    there = torch.cuda.is_available()
    if device is Device.cuda and not there:
        raise ConfigError("there is no CUDA device", where="--device", found="cuda", hint="use --device cpu")
    pipeline = load(model, catalog, tell, allow_pickle=allow_pickle)
    return pipeline.to("cuda" if there and device is not Device.cpu else "cpu")
