"""What a caller of `score` passes, files or objects, as pairs of true labels and predictions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from affectgpt.data.example import Example
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import count_and_first
from affectgpt.unibench.clip_values import Content, ValueSource, open_clip_values
from affectgpt.unibench.memory_values import MemoryValues, Values, memory_values
from affectgpt.unibench.record_files import SUFFIXES, read_records
from affectgpt.unibench.score_run import ScoringPair, pair_files
from affectgpt.unibench.sources import DataSource, check_limit, find_data_sources
from affectgpt.unibench.truth import Task, Truth, truth_of_values

DataSets: TypeAlias = "str | PathLike[str] | Sequence[Example]"
"""The benchmark's folder, the folder of one data set, a manifest, or examples."""


def open_values(
    data: Values,
    name: str,
    *,
    content: Content | None = None,
    column: str | None = None,
    id_column: str | None = None,
) -> ValueSource:
    """The values in `data`, the argument called `name`: of a file when it is a path. Raises DataError."""
    if not isinstance(data, str | PathLike):
        return memory_values(data, name, content=content, column=column, id_column=id_column)
    path = Path(data)
    if not os.path.exists(path):
        what = "there are no such predictions" if name == "predictions" else "there is no such file"
        raise DataError(what, where=str(path))
    if id_column == "id":
        _, record = next(read_records(path), ("", {}))
        id_column = "id" if "id" in record else None
    return open_clip_values(path, content=content, field=column, id_field=id_column)


def name_of(data: object, name: str) -> str:
    """What `data` is called in reports: a file's name without its suffix; `name` for values in memory."""
    return Path(data).stem if isinstance(data, str | PathLike) else name


def value_pairs(
    predictions: ValueSource, truth: ValueSource, against: ValueSource | None, *, name: str, task: Task | None
) -> list[ScoringPair]:
    """The one pair of `predictions` and `truth`, a data set called `name`. Raises DataError for lists that do not fit.

    Without `task`, it follows from the true values ([infer_task][affectgpt.unibench.truth]).
    """
    for values, argument in ((predictions, "predictions"), (against, "against")):
        if values is not None:
            _check_positions(values, truth, argument)
    true = truth_of_values(truth, name, task)
    if true.task == "sentiment":
        predictions, against = _as_sentiments(predictions), None if against is None else _as_sentiments(against)
    return [ScoringPair(true, predictions, against)]


def _as_sentiments(values: ValueSource) -> ValueSource:
    """Values in memory with numbers as the sentiment of their sign; those of files are read as official scripts do."""
    if not isinstance(values, MemoryValues):
        return values
    return replace(values, values=tuple(replace(row, value=_sentiment(row.value)) for row in values.values))


def _sentiment(value: object) -> object:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return value
    return "positive" if value > 0 else "negative" if value < 0 else "neutral"


def data_set_pairs(
    predictions: Values,
    data: DataSets,
    against: Values | None = None,
    *,
    sets: Sequence[str] = (),
    content: Content | None = None,
    column: str | None = None,
    id_column: str | None = None,
) -> list[ScoringPair]:
    """The true labels of the data sets in `data`, each with its predictions; only those named by `sets`, when any are.

    `predictions` and `against` are folders with one file per data set, named by its key; for a single data set they
    may be anything that [open_values][] takes. Raises DataError when a data set lacks labels or predictions.
    """
    truths = [source.truth() for source in data_sources(data, sets, media=False)]

    def by_data_set(values: Values, argument: str) -> Mapping[str, ValueSource]:
        location = Path(values) if isinstance(values, str | PathLike) else None
        if len(truths) == 1 and not (location is not None and location.is_dir()):
            values_of_set = open_values(values, argument, content=content, column=column, id_column=id_column)
            return {
                truths[0].dataset: _as_sentiments(values_of_set) if truths[0].task == "sentiment" else values_of_set
            }
        files = _prediction_files(location, truths, argument)
        return {
            key: open_values(path, argument, content=content, column=column, id_column=id_column)
            for key, path in files.items()
        }

    baselines = by_data_set(against, "against") if against is not None else {}
    return pair_files(truths, by_data_set(predictions, "predictions"), baselines)


def data_sources(
    data: DataSets, sets: Sequence[str] = (), *, media: bool = True, limit: int | None = None
) -> list[DataSource]:
    """The data sets in `data` (see [find_data_sources][affectgpt.unibench.sources]); a list of examples is one.

    `limit` takes the first clips of each. Raises DataError.
    """
    if isinstance(data, str | PathLike):
        return find_data_sources(Path(data), sets, media=media, limit=limit)
    if sets:
        raise DataError("only data sets of the benchmark can be chosen", where="sets", hint="leave it out")
    check_limit(limit)
    examples = list(data) if isinstance(data, Iterable) else [data]
    wrong = [type(example).__name__ for example in examples if not isinstance(example, Example)]
    if wrong or not examples:
        raise DataError(
            "there are no clips" if not examples else "these are not examples",
            where="data",
            found=join_names(dict.fromkeys(wrong)),
            expected="a folder, a manifest, or a list of Example",
        )
    return [DataSource.of_examples("examples", examples[:limit])]


def _check_positions(values: ValueSource, truth: ValueSource, argument: str) -> None:
    is_list = [isinstance(inputs, MemoryValues) and inputs.by_position for inputs in (values, truth)]
    if not any(is_list):
        return
    ids, true_ids = ([row.id for row in inputs.rows()] for inputs in (values, truth))
    if len(ids) != len(true_ids):
        raise DataError(
            f"{argument} and truth are not of one length",
            where=argument,
            found=f"{len(ids):,} values, and {len(true_ids):,} true ones",
            expected="one value per clip, in the same order",
        )
    if set(ids) != set(true_ids):
        listing, named = (argument, true_ids) if is_list[0] else ("truth", ids)
        raise DataError(
            "values by position cannot be matched with ids",
            where=listing,
            found=f"a list, beside the ids {count_and_first(named)}",
            expected="ids in both, or lists of one length",
            hint="pass a mapping of ids to values",
        )


def _prediction_files(folder: Path | None, truths: Sequence[Truth], argument: str) -> dict[str, Path]:
    """The file of each data set in `folder`: KEY.jsonl, or another format."""
    if folder is None or not folder.is_dir():
        raise DataError(
            "there is no folder of predictions",
            where=argument if folder is None else str(folder),
            expected="KEY.jsonl for each data set",
        )
    files = {}
    for truth in truths:
        matches = [path for suffix in SUFFIXES if (path := folder / f"{truth.dataset}{suffix}").is_file()]
        if len(matches) > 1:
            raise DataError(
                "there are several files of predictions",
                where=truth.title,
                found=join_names(path.name for path in matches),
            )
        if matches:
            files[truth.dataset] = matches[0]
    return files
