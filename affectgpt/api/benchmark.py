"""Predictions of a model for whole data sets, a whole benchmark in one call, and the state of a folder of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from affectgpt.api.model_names import ModelName, load_named
from affectgpt.api.resolve import (
    Plugins,
    Progress,
    catalog_for,
    check_pipeline,
    check_workers,
    path_of,
    progress_callback,
)
from affectgpt.api.scores import Unreadable, check_resamples, run_scorer, scorer_for
from affectgpt.api.training import call_hooks
from affectgpt.registry.errors import ConfigError, DataError
from affectgpt.serving.clip_arguments import check_counts, check_texts

if TYPE_CHECKING:
    from affectgpt.registry.catalog import Catalog
    from affectgpt.unibench.datasets.doctor import DatasetHealth as DatasetHealth
    from affectgpt.unibench.datasets.doctor import DoctorReport as DoctorReport
    from affectgpt.unibench.score import Score
    from affectgpt.unibench.score_inputs import DataSets
    from affectgpt.unibench.sources import DataSource
    from affectgpt.workers.progress import OnProgress
else:
    _MODULE_OF = {
        "DatasetHealth": "affectgpt.unibench.datasets.doctor",
        "DoctorReport": "affectgpt.unibench.datasets.doctor",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULE_OF[name]), name)


class PredictionFile(NamedTuple):
    """A file of predictions: one row per clip, `new` of them written by this call."""

    path: Path
    rows: int
    new: int


def predict(
    model: ModelName,
    data: DataSets,
    out: str | PathLike[str],
    *,
    sets: Sequence[str] = (),
    limit: int | None = None,
    batch_size: int = 8,
    workers: int = 0,
    question: str | None = None,
    shares: bool = True,
    device: str | None = None,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> list[PredictionFile]:
    """Describe all clips of the data sets in `data` and write the texts into the folder `out`, KEY.jsonl for each set.

    - `model`: a pipeline, the folder of a saved model, "tiny", or a name on the Hub.
    - `data`: the benchmark's folder, the folder of one data set, a manifest, or a list of examples. `sets` names some
      of the data sets ("mer2023"); `limit` takes the first clips of each.
    - `shares=False`: rows without how much each modality counted, which takes a part of the time to measure.
    - `device`: as in [load][affectgpt.load]; a pipeline stays where it is.

    A row holds `id`, `text`, `attribution`, `seconds`, `model`, `prompt`, `seed`, and an `error` for a clip that cannot
    be read. Rows that `out` holds already are kept, so a run that was stopped is continued by the same call.

    Raises DataError when `data` is no data set or `out` was begun with other arguments, ConfigError for a wrong model,
    device or question, CheckpointError, and RunError when the disk refuses or a worker dies.
    """
    from affectgpt.unibench.score_inputs import data_sources

    if isinstance(data, str | PathLike):
        data = path_of(data, "data")
    out = _check_run(model, out, batch_size, workers, question)
    sources = data_sources(data, sets, limit=limit)
    catalog = catalog_for(plugins)
    with progress_callback(progress) as on_progress:
        return _predict(
            catalog,
            sources,
            out,
            on_progress,
            model=model,
            batch_size=batch_size,
            workers=workers,
            question=question,
            shares=shares,
            device=device,
            allow_pickle=allow_pickle,
        )


def unibench(
    model: ModelName,
    data: DataSets | None,
    out: str | PathLike[str],
    *,
    synthetic: int | None = None,
    sets: Sequence[str] = (),
    limit: int | None = None,
    batch_size: int = 8,
    workers: int = 0,
    question: str | None = None,
    device: str | None = None,
    allow_pickle: bool = False,
    wheels: str | PathLike[str] | None = None,
    extractor: str = "lexicon",
    extractor_options: Mapping[str, object] | None = None,
    unreadable: Unreadable = "wrong",
    resamples: int = 1000,
    seed: int = 0,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Score:
    """Predict, score and write the reports in one call; after a kill, the same call continues where it stopped.

    `out` holds `predictions`, `labels` and the reports. Without `data` (None), `synthetic` clips for each of the nine
    data sets are written to `out/data` and used. The other arguments and the errors are those of [predict][] and
    [score][affectgpt.score]; also raises DataError when another process works in `out`.
    """
    if (data is None) == (synthetic is None):
        raise ConfigError(
            "the data must be given one way",
            where="data",
            found="neither" if data is None else "data, and a number of synthetic clips",
            hint="pass either data= or synthetic=",
        )
    check_resamples(resamples, False)
    out = _check_run(model, out, batch_size, workers, question)
    if isinstance(data, str | PathLike):
        data = path_of(data, "data")
    catalog = catalog_for(plugins)
    scorer = scorer_for(
        catalog,
        wheels=wheels,
        extractor=extractor,
        extractor_options=extractor_options,
        resamples=resamples,
        seed=seed,
        missing="error",
        unreadable=unreadable,
        unknown="exclude",
        out=out,
    )
    from affectgpt.files.locks import exclusive
    from affectgpt.unibench.clip_values import open_clip_values
    from affectgpt.unibench.score_inputs import data_sources
    from affectgpt.unibench.score_run import pair_files
    from affectgpt.unibench.sources import check_sets

    sets = check_sets(sets)
    # True labels that cannot be used are found before anything is written.
    truths = (
        [source.truth() for source in data_sources(data, sets, media=False, limit=limit)] if data is not None else []
    )
    with progress_callback(progress) as on_progress, exclusive(out):
        root = data if data is not None else _write_synthetic(out / "data", synthetic or 1, workers, on_progress)
        truths = truths or [source.truth() for source in data_sources(root, sets, media=False, limit=limit)]
        files = _predict(
            catalog,
            data_sources(root, sets, limit=limit),
            out / "predictions",
            on_progress,
            model=model,
            batch_size=batch_size,
            workers=workers,
            question=question,
            device=device,
            allow_pickle=allow_pickle,
        )
        pairs = pair_files(truths, {file.path.stem: open_clip_values(file.path) for file in files}, {})
        system = Path(model).resolve().name if isinstance(model, str | PathLike) else "pipeline"
        return run_scorer(scorer, pairs, out / "predictions", None, system, out, on_progress)


def doctor(
    data: str | PathLike[str],
    *,
    manifest: bool = False,
    decode: bool = True,
    workers: int = 0,
    progress: Progress = None,
) -> DoctorReport:
    """What is in a folder of data, what is missing, and what cannot be decoded.

    `data` is MER-UniBench, one of its data sets, a folder in the layout of MER2025, or a manifest (by its suffix, or
    with `manifest=True`). With `decode`, a frame, the sound and a face of every clip are decoded. Problems within a
    data set are in the report. Raises DataError when `data` is none of these, RunError when a worker dies.
    """
    check_workers(workers)
    from affectgpt.unibench.datasets.doctor import inspect_folder

    with progress_callback(progress) as on_progress:
        return inspect_folder(
            path_of(data, "data"),
            manifest=manifest,
            decode=decode,
            workers=workers,
            progress=lambda title, done, total: on_progress(f"decoding {title}", done, total),
        )


def _check_run(model: object, out: object, batch_size: object, workers: object, question: object) -> Path:
    """The folder `out`. Raises ConfigError for an argument that no run can be made with, before anything is written."""
    check_counts(batch_size, workers)
    check_texts(None, question)
    if isinstance(model, str | PathLike):
        path_of(model, "model")
    else:
        check_pipeline(model, "model")
    return path_of(out, "out")


def _predict(
    catalog: Catalog,
    sources: Sequence[DataSource],
    out: Path,
    on_progress: OnProgress,
    *,
    model: ModelName,
    batch_size: int,
    workers: int,
    question: str | None,
    device: str | None,
    allow_pickle: bool,
    shares: bool = True,
) -> list[PredictionFile]:
    pipeline, name = load_named(model, catalog, device, allow_pickle=allow_pickle, on_progress=on_progress)
    from affectgpt.unibench.predictions import write_predictions

    config = pipeline.plan.config
    call_hooks(catalog, "affectgpt_before_run", command="generate", config=config)
    files = []
    for source in sources:
        path = out / f"{source.key}.jsonl"

        def on_rows(count: int, total: int, title: str = source.title) -> None:
            on_progress(title, count, total)

        new = write_predictions(
            pipeline,
            name,
            source,
            path,
            batch_size=batch_size,
            workers=workers,
            question=question,
            shares=shares,
            progress=on_rows,
        )
        files.append(PredictionFile(path, len(source.examples), new))
    rows = {str(file.path): (file.new, file.rows) for file in files}
    call_hooks(catalog, "affectgpt_after_run", command="generate", config=config, result=rows)
    return files


def _write_synthetic(folder: Path, clips: int, workers: int, on_progress: OnProgress) -> Path:
    """The synthetic benchmark in `folder`, written unless it is there already."""
    from affectgpt.synthetic.unibench import matches_request, write_unibench

    if matches_request(folder, clips_per_set=clips, seed=0):
        return folder
    if (folder.parent / "predictions").exists():
        raise DataError(
            "there are predictions of other synthetic data here",
            where=str(folder.parent),
            expected=f"no predictions, or those of {clips} synthetic clips per data set",
            hint="choose another folder",
        )
    write_unibench(
        folder,
        clips_per_set=clips,
        seed=0,
        workers=workers,
        progress=lambda done, total: on_progress("writing synthetic data", done, total),
    )
    return folder
