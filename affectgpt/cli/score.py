"""`affectgpt score`: score saved predictions; needs no model."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.cli.options import Json, Plugin, catalog_of, console, plugin_options, progress
from affectgpt.cli.printable import json_text
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, DataError, listed

if TYPE_CHECKING:
    from affectgpt.unibench.clip_values import ValueFile
    from affectgpt.unibench.result import BenchmarkResult
    from affectgpt.unibench.score_run import Scorer
    from affectgpt.unibench.truth import Truth


FEWEST = 100


class Task(str, Enum):
    """What the labels are."""

    fine_grained = "fine-grained"
    basic = "basic"
    sentiment = "sentiment"


class Reading(str, Enum):
    """What the predictions are."""

    auto = "auto"
    labels = "labels"
    text = "text"


class Missing(str, Enum):
    """What a clip without a prediction is."""

    error = "error"
    exclude = "exclude"
    wrong = "wrong"


class Unreadable(str, Enum):
    """What a prediction is that is an error, or that could not be read out."""

    wrong = "wrong"
    exclude = "exclude"


Wheels = Annotated[
    Path | None,
    typer.Option(
        help="The folder of the official emotion wheels, or a YAML file of your own.",
        show_default="the wheels that ship",
    ),
]
Extractor = Annotated[str, typer.Option(help="The plugin that reads labels out of texts.")]
ExtractorSet = Annotated[
    list[str], typer.Option("--set", help="Give the extractor an option, e.g. cache=./read. May be repeated.")
]
Resamples = Annotated[
    int,
    typer.Option(
        min=0,
        max=100_000,
        help="Bootstrap replicates, at least 100; 0 for no intervals.",
        callback=lambda n: enough(n),
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the resampling.")]
OnMissing = Annotated[Missing, typer.Option(help="A clip that has no prediction.")]
OnUnreadable = Annotated[Unreadable, typer.Option(help="A prediction that is an error or cannot be read out.")]


def command(
    context: typer.Context,
    predictions: Annotated[
        Path,
        typer.Argument(
            help="A file of predictions (JSONL, CSV, JSON object, .npz); with --data a folder of KEY.jsonl.",
            show_default=False,
        ),
    ],
    truth: Annotated[Path | None, typer.Option(help="A file of true labels (JSONL, CSV, JSON object, .npz).")] = None,
    task: Annotated[Task | None, typer.Option(help="What the true labels are.")] = None,
    data: Annotated[Path | None, typer.Option(help="Take the truth from data sets: as in `generate`.")] = None,
    sets: Annotated[list[str], typer.Option("--sets", help="Only this data set, e.g. mer2023. May be repeated.")] = [],
    wheels: Wheels = None,
    extractor: Extractor = "lexicon",
    set_: ExtractorSet = [],
    read: Annotated[Reading, typer.Option(help="What the predictions are.")] = Reading.auto,
    field: Annotated[str | None, typer.Option(help="The field or column that holds the predictions.")] = None,
    id_field: Annotated[str | None, typer.Option(help="The field or column that holds the ids, in each file.")] = None,
    truth_field: Annotated[str | None, typer.Option(help="The field or column that holds the true labels.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another system's predictions: a paired test.")] = None,
    missing: OnMissing = Missing.error,
    unreadable: OnUnreadable = Unreadable.wrong,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    system: Annotated[str | None, typer.Option(help="The system's name in reports.", show_default="the file's")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the reports and the labels read out.")] = None,
    plugin: Plugin = [],
    as_json: Json = False,
) -> None:
    """Score predictions with intervals; `--data` for whole data sets, `--truth` and `--task` for any two files."""
    _one_way(truth, task, data, predictions, sets)
    if against is not None and not resamples:
        raise ConfigError("--against needs replicates", where="--resamples", found="0", hint="leave it out")
    catalog = catalog_of(context, plugin)
    made = scorer(catalog, wheels, extractor, set_, resamples, seed, missing, unreadable, out)
    from affectgpt.unibench.score_run import pairs_of

    if truth is not None:
        from affectgpt.unibench.truth import truth_of_file

        assert task is not None
        truths = [truth_of_file(truth, task.value, field=truth_field, id_field=id_field)]
        files = {truths[0].dataset: _file(predictions, read, field, id_field)}
        others = {truths[0].dataset: _file(against, read, field, id_field)} if against else {}
    else:
        assert data is not None
        truths = truths_in(data, sets)
        files = _files(predictions, truths, read, field, id_field)
        others = _files(against, truths, read, field, id_field) if against else {}
    name = system or predictions.stem
    result = run(made, name, pairs_of(truths, files, others), _name_beside(name, against))
    show(result, out, as_json=as_json)


def enough(replicates: int) -> int:
    """Refuse a number of replicates that says nothing of an interval of 95 %."""
    if 0 < replicates < FEWEST:
        raise ConfigError(
            "too few replicates", where="--resamples", found=str(replicates), expected=f"0, or at least {FEWEST}"
        )
    return replicates


def scorer(
    catalog: Catalog,
    wheels: Path | None,
    extractor: str,
    options: list[str],
    resamples: int,
    seed: int,
    missing: Missing,
    unreadable: Unreadable,
    out: Path | None,
) -> Scorer:
    """The [Scorer][] that the options of the command line ask for."""
    if out is not None and out.exists() and not out.is_dir():
        raise DataError("the place for the reports is not a folder", where=str(out), hint="choose another --out")
    from affectgpt.core.extraction import build_extractor
    from affectgpt.unibench.resampling import Resampling
    from affectgpt.unibench.score_run import Scorer
    from affectgpt.unibench.scoring import ScoringRules
    from affectgpt.unibench.wheels.load import wheels_from

    return Scorer(
        wheels=wheels_from(wheels),
        extractor=build_extractor(extractor, plugin_options(options), catalog),
        resampling=Resampling(resamples, seed),
        rules=ScoringRules(missing.value, unreadable.value),
        kept=out / "labels" if out else None,
    )


def truths_in(data: Path, sets: list[str], limit: int | None = None) -> list[Truth]:
    """The true labels of the data sets in a folder, or of a manifest."""
    from affectgpt.unibench.sources import read_sources

    return [source.truth() for source in read_sources(data, sets, media=False, limit=limit)]


def run(made: Scorer, system: str, pairs: list[Any], other: str = "") -> BenchmarkResult:
    """Score with progress on standard error."""
    with progress() as bar:
        tasks: dict[str, Any] = {}

        def tell(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(f"scoring {title}", total=total, note="")
            bar.update(tasks[title], completed=done, total=max(done, total))

        return made.score(system, pairs, other=other, progress=tell)


def show(result: BenchmarkResult, out: Path | None, *, as_json: bool) -> None:
    """Print a result, and write the reports into `out` if there is one."""
    from affectgpt.unibench.report.terminal import print_result
    from affectgpt.unibench.report.write import write_reports

    written = write_reports(result, out) if out else []
    if as_json:
        typer.echo(json_text(result.as_json(), indent=1))
        return
    print_result(result, console())
    for path in written:
        typer.echo(f"written: {path}")


def _name_beside(system: str, other: Path | None) -> str:
    """What the other system is called: its file's name, with its folder's when that is the first one's name too."""
    if other is None:
        return ""
    return other.stem if other.stem != system else f"{other.resolve().parent.name}-{other.stem}"


def _one_way(truth: Path | None, task: Task | None, data: Path | None, predictions: Path, sets: list[str]) -> None:
    if (truth is None) == (data is None):
        raise ConfigError(
            "the truth must be given one way",
            where="the command line",
            found="both --truth and --data" if truth else "neither --truth nor --data",
            expected="--truth FILE --task TASK, or --data FOLDER",
        )
    if truth is not None and task is None:
        raise ConfigError(
            "a file of true labels needs its task", where="--task", expected=listed(each.value for each in Task)
        )
    if data is not None and task is not None:
        raise ConfigError(
            "--task goes with --truth", where="--task", hint="leave it out: the data sets say what they are"
        )
    if truth is not None and sets:
        raise ConfigError("--sets goes with --data", where="--sets", hint="leave it out")
    if not predictions.exists():
        raise DataError("there are no such predictions", where=str(predictions))


def _file(path: Path, read: Reading, field: str | None, id_field: str | None) -> ValueFile:
    from affectgpt.unibench.clip_values import value_file

    return value_file(path, reading=None if read is Reading.auto else read.value, field=field, id_field=id_field)


def _files(
    folder: Path, truths: list[Truth], read: Reading, field: str | None, id_field: str | None
) -> dict[str, ValueFile]:
    """The predictions of each data set: KEY.jsonl or another format in `folder`; a file, when there is one data set."""
    from affectgpt.unibench.record_files import SUFFIXES

    if folder.is_file() and len(truths) == 1:
        return {truths[0].dataset: _file(folder, read, field, id_field)}
    if not folder.is_dir():
        raise DataError("there is no folder of predictions", where=str(folder), expected="KEY.jsonl for each data set")
    found = {}
    for truth in truths:
        there = [
            folder / f"{truth.dataset}{suffix}"
            for suffix in SUFFIXES
            if (folder / f"{truth.dataset}{suffix}").is_file()
        ]
        if len(there) > 1:
            raise DataError(
                "there are several files of predictions", where=truth.title, found=listed(path.name for path in there)
            )
        if there:
            found[truth.dataset] = _file(there[0], read, field, id_field)
    return found
