"""`affectgpt encode`: run frozen encoders once over every clip, for training that reads what they gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from affectgpt.cli.generate import Device
from affectgpt.cli.options import Json, Plugin, Set, call_hooks, catalog_of, progress, saved_model
from affectgpt.core.load_config import load_config
from affectgpt.core.plan import make_plan
from affectgpt.data.datasets import read_clip_list
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError


class DType(str, Enum):
    """How features are stored."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


Manifest = Annotated[Path, typer.Argument(help="A manifest or a folder in the MER2025 layout.", show_default=False)]
Out = Annotated[Path, typer.Argument(help="The folder for the features, new or to be continued.", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option(help="A pipeline YAML file with frozen encoders.", show_default=False)]
Saved = Annotated[
    Path | None, typer.Option(help="A saved model instead, or one on the Hub: owner/name.", show_default=False)
]
Encoders = Annotated[str | None, typer.Option(help="Only these, e.g. face,audio.", show_default="all of them")]
Kept = Annotated[DType, typer.Option(help="How features are stored.")]
BatchSize = Annotated[int, typer.Option(min=1, max=1024, help="Clips at a time.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that decode clips, threads that hash files.")]
OnDevice = Annotated[Device, typer.Option(help="Where the encoders run; auto takes a GPU when there is one.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let a saved model's encoders read pickled weights (restricted).")
]
AllowUnreadable = Annotated[float, typer.Option(min=0, max=1, help="The share of clips that may be unreadable.")]


def command(
    context: typer.Context,
    manifest: Manifest,
    out: Out,
    config: ConfigFile = None,
    model: Saved = None,
    encoders: Encoders = None,
    dtype: Kept = DType.float32,
    batch_size: BatchSize = 8,
    workers: Workers = 2,
    device: OnDevice = Device.auto,
    set_: Set = [],
    allow_pickle: AllowPickle = False,
    allow_unreadable: AllowUnreadable = 0.01,
    plugin: Plugin = [],
    as_json: Json = False,
) -> None:
    """Run frozen encoders over all clips and keep what they give; goes on where an earlier run stopped."""
    from affectgpt.data.feature_cache.settings import refuse_foreign

    _refuse_unclear(config, model, set_)
    refuse_foreign(out)
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    names = None if encoders is None else [name.strip() for name in encoders.split(",")]
    examples = read_clip_list(manifest)
    with progress() as bar:
        loading = bar.add_task("loading the encoders", total=None, note="")
        place = _place(device)
        chosen = _encoders(
            config, model, set_, catalog, names, lambda name: bar.update(loading, note=name), allow_pickle
        )
        bar.update(loading, total=1, completed=1, note="")
        from affectgpt.data.feature_cache.writer import encode

        call_hooks(catalog, "affectgpt_before_run", command="encode", config=chosen.plan.config)
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, note="")
            bar.update(tasks[what], completed=done, total=total)

        done = encode(
            chosen,
            examples,
            out,
            dtype=dtype.value,
            batch_size=batch_size,
            workers=workers,
            device=place,
            progress=tell,
        )
    result = {
        "cache": str(out),
        "encoders": list(chosen.modules),
        "clips": done.clips,
        "new": done.new,
        "unreadable": [each.name for each in done.broken],
    }
    call_hooks(catalog, "affectgpt_after_run", command="encode", config=chosen.plan.config, result=result)
    done.refuse_broken(allow_unreadable)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    typer.echo(f"{out}: {done.clips} clips, {done.new} newly encoded by {', '.join(chosen.modules)}")
    for each in done.broken:
        typer.echo(f"skipped {each.name}: {each.problem.what}", err=True)


def _refuse_unclear(config: Path | None, model: Path | None, changes: list[str]) -> None:
    if (config is None) == (model is None):
        raise ConfigError(
            "which encoders are to run?",
            where="the command line",
            found="neither --config nor --model" if model is None else "both --config and --model",
            expected="one of the two",
        )
    if model is not None and changes:
        raise ConfigError(
            "--set changes a config, not a saved model",
            where="--set",
            found=changes[0],
            hint="leave it out, or use --config",
        )


def _encoders(
    config: Path | None,
    model: Path | None,
    changes: list[str],
    catalog: Catalog,
    names: list[str] | None,
    tell: Callable[[str], None],
    allow_pickle: bool,
) -> Any:
    if config is not None:
        checked, source = load_config(config, catalog, changes)
        plan = make_plan(checked, catalog, source)
        from affectgpt.data.feature_cache.fixed_encoders import frozen_encoders

        return frozen_encoders(plan, catalog, names, tell)
    from affectgpt.data.feature_cache.fixed_encoders import saved_encoders

    assert model is not None
    return saved_encoders(saved_model(model), catalog, names, tell, allow_pickle=allow_pickle)


def _place(device: Device) -> str:
    import torch

    there = torch.cuda.is_available()
    if device is Device.cuda and not there:
        raise ConfigError("there is no CUDA device", where="--device", found="cuda", hint="use --device cpu")
    return "cuda" if there and device is not Device.cpu else "cpu"
