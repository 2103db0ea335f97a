"""Scores of predictions, of files or of objects in memory. No model is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from affectgpt.api.resolve import (
    Plugins,
    Progress,
    catalog_for,
    check_options,
    check_text,
    optional_path,
    path_of,
    progress_callback,
)
from affectgpt.registry.errors import ConfigError, DataError, join_names
from affectgpt.unibench.score import BenchmarkScore as BenchmarkScore
from affectgpt.unibench.score import PairedTest as PairedTest
from affectgpt.unibench.score import Score as Score

if TYPE_CHECKING:
    from affectgpt.registry.catalog import Catalog
    from affectgpt.unibench.memory_values import Values
    from affectgpt.unibench.score_inputs import DataSets
    from affectgpt.unibench.score_run import Scorer, ScoringPair

Task: TypeAlias = Literal["fine-grained", "basic", "sentiment"]
Reading: TypeAlias = Literal["auto", "labels", "text"]
Missing: TypeAlias = Literal["error", "exclude", "wrong"]
Unreadable: TypeAlias = Literal["wrong", "exclude"]
Unknown: TypeAlias = Literal["error", "exclude"]
FEWEST_RESAMPLES = 100


def score(
    predictions: Values,
    truth: Values | DataSets,
    *,
    task: Task | None = None,
    column: str | None = None,
    truth_column: str | None = None,
    id_column: str | None = "id",
    read: Reading = "auto",
    wheels: str | PathLike[str] | None = None,
    extractor: str = "lexicon",
    extractor_options: Mapping[str, object] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    missing: Missing = "error",
    unreadable: Unreadable = "wrong",
    unknown: Unknown = "error",
    against: Values | None = None,
    system: str | None = None,
    out: str | PathLike[str] | None = None,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Score:
    """Score `predictions` against `truth`, with 95 % intervals.

    Both are `{id: value}`, a data frame or series, lists of one length (matched by position), or paths of files
    (JSONL, CSV, JSON, .npz), in any mix. A value is a text, a label, a list of labels, or a number. A folder of the
    benchmark as `truth`, or a list of examples, is scored as by [score_benchmark][].

    - `task`: "fine-grained" (sets of labels), "basic" (one label), "sentiment" (numbers); by default what the true
      values are.
    - `column`, `truth_column`, `id_column`: the columns of values and of ids, where a frame or a file has several. An
      `id_column` of "id" that is not there is looked for under other usual names.
    - `read`: whether predictions are "labels" or "text" to read labels from with the plugin `extractor`; "auto" reads
      texts that are prose.
    - `wheels`: the folder of the official emotion wheels, or a YAML file; None takes those that ship.
    - `resamples`: bootstrap replicates, at least 100; 0 for no intervals.
    - `missing`, `unreadable`, `unknown`: what becomes of a clip without a prediction, of a prediction that cannot be
      read, and of one for a clip that the truth lacks.
    - `against`: other predictions for the same clips, for a paired test; `system` names the first ones in reports.
    - `out`: a folder for the reports and for the labels that are read; scoring again goes on from those.

    Raises DataError (ids that repeat, are missing or unknown; values that do not fit the task) and ConfigError (task,
    extractor, resamples).
    """
    if _is_data_set(truth):
        if task is not None:
            raise ConfigError("the data sets say what their task is", where="task", hint="leave it out")
        return score_benchmark(
            predictions,
            truth,  # type: ignore[arg-type]
            column=column,
            id_column=id_column,
            read=read,
            wheels=wheels,
            extractor=extractor,
            extractor_options=extractor_options,
            resamples=resamples,
            seed=seed,
            missing=missing,
            unreadable=unreadable,
            unknown=unknown,
            against=against,
            system=system,
            out=out,
            plugins=plugins,
            progress=progress,
        )
    check_choice("task", task, ("fine-grained", "basic", "sentiment"), optional=True)
    check_resamples(resamples, against is not None)
    scorer = scorer_for(
        catalog_for(plugins),
        wheels=wheels,
        extractor=extractor,
        extractor_options=extractor_options,
        resamples=resamples,
        seed=seed,
        missing=missing,
        unreadable=unreadable,
        unknown=unknown,
        out=out,
    )
    from affectgpt.unibench.score_inputs import name_of, open_values, value_pairs

    content = _content(read)
    true_values = open_values(truth, "truth", content="labels", column=truth_column, id_column=id_column)  # type: ignore[arg-type]
    values = open_values(predictions, "predictions", content=content, column=column, id_column=id_column)
    baseline = (
        None
        if against is None
        else open_values(against, "against", content=content, column=column, id_column=id_column)
    )
    pairs = value_pairs(values, true_values, baseline, name=name_of(truth, "truth"), task=task)
    return run_scorer(scorer, pairs, predictions, against, system, out, progress)


def score_benchmark(
    predictions: Values,
    data: DataSets,
    *,
    sets: Sequence[str] = (),
    column: str | None = None,
    id_column: str | None = "id",
    read: Reading = "auto",
    wheels: str | PathLike[str] | None = None,
    extractor: str = "lexicon",
    extractor_options: Mapping[str, object] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    missing: Missing = "error",
    unreadable: Unreadable = "wrong",
    unknown: Unknown = "error",
    against: Values | None = None,
    system: str | None = None,
    out: str | PathLike[str] | None = None,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Score:
    """Score predictions for the data sets in `data`: the benchmark's folder, one data set's, a manifest, or examples.

    `predictions` is the folder that [predict][] writes, KEY.jsonl for each data set; for a single data set, anything
    that [score][] takes. `sets` names some of the data sets ("mer2023"). Several data sets give a
    [BenchmarkScore][affectgpt.unibench.score]. The other arguments and the errors are those of [score][].
    """
    check_resamples(resamples, against is not None)
    if isinstance(data, str | PathLike):
        data = path_of(data, "data")
    for values in (predictions, against):
        if isinstance(values, str | PathLike) and not os.path.exists(values):
            raise DataError("there are no such predictions", where=str(values))
    scorer = scorer_for(
        catalog_for(plugins),
        wheels=wheels,
        extractor=extractor,
        extractor_options=extractor_options,
        resamples=resamples,
        seed=seed,
        missing=missing,
        unreadable=unreadable,
        unknown=unknown,
        out=out,
    )
    from affectgpt.unibench.score_inputs import data_set_pairs

    pairs = data_set_pairs(
        predictions, data, against, sets=sets, content=_content(read), column=column, id_column=id_column
    )
    return run_scorer(scorer, pairs, predictions, against, system, out, progress)


def scorer_for(
    catalog: Catalog,
    *,
    wheels: str | PathLike[str] | None,
    extractor: str,
    extractor_options: Mapping[str, object] | None,
    resamples: int,
    seed: int,
    missing: Missing,
    unreadable: Unreadable,
    unknown: Unknown,
    out: str | PathLike[str] | None,
) -> Scorer:
    """The [Scorer][affectgpt.unibench.score_run] for the arguments of [score][]. Raises ConfigError, DataError."""
    check_choice("missing", missing, ("error", "exclude", "wrong"))
    check_choice("unreadable", unreadable, ("wrong", "exclude"))
    check_choice("unknown", unknown, ("error", "exclude"))
    if out is not None and path_of(out, "out").exists() and not Path(out).is_dir():
        raise DataError("the place for the reports is not a folder", where=str(out), hint="choose another folder")
    check_text(extractor, "extractor")
    check_options(extractor_options, "extractor_options")
    from affectgpt.core.extraction import build_extractor
    from affectgpt.unibench.resampling import Resampling
    from affectgpt.unibench.score_run import Scorer
    from affectgpt.unibench.scoring import ScoringRules
    from affectgpt.unibench.wheels.load import load_wheels

    return Scorer(
        wheels=load_wheels(optional_path(wheels, "wheels")),
        extractor=build_extractor(extractor, dict(extractor_options or {}), catalog),
        resampling=Resampling(resamples, seed),
        rules=ScoringRules(missing, unreadable, unknown=unknown),
        cache_folder=None if out is None else path_of(out, "out") / "labels",
    )


def run_scorer(
    scorer: Scorer,
    pairs: Sequence[ScoringPair],
    predictions: Values,
    against: Values | None,
    system: str | None,
    out: str | PathLike[str] | None,
    progress: Progress,
) -> Score:
    """Score `pairs` and write the reports into `out`, if there is one."""
    from affectgpt.unibench.report.write import write_reports
    from affectgpt.unibench.score import score_of
    from affectgpt.unibench.score_inputs import name_of

    name = str(system) if system else name_of(predictions, "predictions")
    with progress_callback(progress) as on_progress:
        result = scorer.score(
            name,
            pairs,
            baseline_name=_baseline_name(name, against),
            progress=lambda title, done, total: on_progress(f"scoring {title}", done, total),
        )
    return score_of(result, write_reports(result, Path(out)) if out is not None else ())


def check_choice(argument: str, value: object, choices: Sequence[str], *, optional: bool = False) -> None:
    """Raise ConfigError when `value` is none of `choices`, nor None where the argument is `optional`."""
    if value not in choices and not (optional and value is None):
        raise ConfigError("there is no such choice", where=argument, found=repr(value), expected=join_names(choices))


def check_resamples(resamples: int, is_paired: bool) -> None:
    """Raise ConfigError for a number of replicates that says nothing of a 95 % interval, or of a paired test."""
    if not isinstance(resamples, int):
        raise ConfigError(
            "the number of replicates is not an integer",
            where="resamples",
            found=repr(resamples),
            expected=f"0, or at least {FEWEST_RESAMPLES}",
        )
    if resamples < 0 or 0 < resamples < FEWEST_RESAMPLES:
        raise ConfigError(
            "too few replicates", where="resamples", found=str(resamples), expected=f"0, or at least {FEWEST_RESAMPLES}"
        )
    if is_paired and not resamples:
        raise ConfigError("a paired test needs replicates", where="resamples", found="0", hint="leave it out")


def _is_data_set(truth: object) -> bool:
    if isinstance(truth, str | PathLike):
        return os.path.isdir(truth) or Path(truth).suffix.lower() == ".parquet"
    from affectgpt.data.example import Example

    return isinstance(truth, Sequence) and len(truth) > 0 and isinstance(truth[0], Example)


def _content(read: Reading) -> Literal["labels", "text"] | None:
    check_choice("read", read, ("auto", "labels", "text"))
    return None if read == "auto" else read


def _baseline_name(system: str, against: Values | None) -> str:
    """What the other system is called: its file's name, with its folder's when that is the first one's name too."""
    if against is None:
        return ""
    if not isinstance(against, str | PathLike):
        return "against"
    path = Path(against)
    return path.stem if path.stem != system else f"{path.resolve().parent.name}-{path.stem}"
