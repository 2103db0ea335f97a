"""Scores saved predictions on one or more data sets, and puts the results together."""

from __future__ import annotations

import inspect
import math
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from affectgpt.core.extraction import CheckedExtractor
from affectgpt.files.hashing import hash_of
from affectgpt.files.row_file import read_settings
from affectgpt.registry.errors import DataError, listed
from affectgpt.unibench.clip_values import ValueFile
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.label_extraction import read_out, read_out_kept
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.resampling import Resampling, Tally, mean_figure
from affectgpt.unibench.result import BenchmarkResult, Comparison, DatasetResult, Figure
from affectgpt.unibench.scoring import DatasetScore, ScoringRules
from affectgpt.unibench.truth import Truth
from affectgpt.unibench.wheels.wheel_set import WheelSet

NINE = tuple(TEST_SETS)
_PACKAGES = ("affectgpt", "numpy", "simplemma", "openpyxl")


@dataclass(frozen=True)
class Pair:
    """A data set's truth, a system's predictions for it, and those of another system to compare with, if any."""

    truth: Truth
    predictions: ValueFile
    other: ValueFile | None = None


@dataclass(frozen=True, eq=False)
class Scorer:
    """How predictions are scored: wheels, extractor of labels, resampling, and rules for what cannot be used.

    With `kept`, a folder, the labels that are read out of texts are written there, and not read out again when scoring
    is stopped and started once more.
    """

    wheels: WheelSet
    extractor: CheckedExtractor
    resampling: Resampling = field(default_factory=Resampling)
    rules: ScoringRules = field(default_factory=ScoringRules)
    kept: Path | None = None

    def score(
        self,
        system: str,
        pairs: Sequence[Pair],
        *,
        other: str = "",
        progress: Callable[[str, int, int], None] | None = None,
    ) -> BenchmarkResult:
        """Score a system. `progress` is told a data set's title, how many predictions were read, and of how many.

        Raises DataError for predictions that do not fit their truth, and what the extractor raises.
        """
        table = SectorTable(self.wheels)
        results: list[DatasetResult] = []
        tallies: dict[str, Tally] = {}
        comparisons: list[Comparison] = []
        for pair in pairs:
            paired = pair.other is not None
            score = DatasetScore(pair.truth, table, self.resampling, self.rules, paired=paired)
            results.append(
                score.read(_watched(self._predictions(pair.truth, pair.predictions, system), pair.truth, progress))
            )
            tallies[pair.truth.dataset] = score.tally
            if pair.other is not None:
                against = DatasetScore(pair.truth, table, self.resampling, self.rules, paired=paired)
                against.read(_watched(self._predictions(pair.truth, pair.other, other), pair.truth, progress))
                found = score.tally.against(against.tally, pair.truth.dataset, other)
                comparisons.append(replace(found, clips=results[-1].clips))
        mean, incomplete = _mean(tallies)
        return BenchmarkResult(
            system=system,
            datasets=tuple(results),
            mean=mean,
            incomplete=incomplete,
            official_wheels=self.wheels.official,
            settings=self._settings(pairs),
            versions=_versions(),
            comparisons=tuple(comparisons),
            wheel_trees=_trees(self.wheels),
        )

    def _predictions(self, truth: Truth, file: ValueFile, system: str) -> Any:
        if self.kept is None or file.reading == "labels":
            return read_out(file, truth.task, self.extractor)
        plain = re.sub(r"[^\w.-]+", "_", system) or "system"
        settings = {
            "format": "affectgpt labels read out",
            "task": truth.task,
            "predictions": hash_of(file.path)[:16],
            "field": file.field,
            "extractor": self._extractor(),
            # A plugin's file may change without its version: labels that the former code read are not the new one's.
            "extractor_code": _code_of(self.extractor.plugin),
            "versions": _versions(),
        }
        return read_out_kept(
            file, truth.task, self.extractor, self.kept / f"{truth.dataset}.{plain[:100]}.jsonl", settings
        )

    def _extractor(self) -> dict[str, Any]:
        return dict(self.extractor.node.model_dump(mode="json"))

    def _settings(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        runs = {pair.truth.dataset: read_settings(pair.predictions.path) for pair in pairs}
        told = ("model", "prompt", "question", "seed", "generation", "batch_size")
        settings: dict[str, Any] = {
            "wheels": self.wheels.name,
            "wheels_fingerprint": self.wheels.fingerprint,
            "read_as": {pair.truth.dataset: f"{pair.predictions.reading} ({pair.predictions.field})" for pair in pairs},
            "resampling": asdict(self.resampling),
            "rules": asdict(self.rules),
        }
        if any(file.reading == "text" for pair in pairs for file in (pair.predictions, pair.other) if file):
            settings["extractor"] = self._extractor()
        made = {key: {name: run[name] for name in told if name in run} for key, run in runs.items() if run}
        if made:
            first = next(iter(made.values()))
            settings["predictions"] = first if all(each == first for each in made.values()) else made
        return settings


def pairs_of(
    truths: Sequence[Truth], predictions: Mapping[str, ValueFile], others: Mapping[str, ValueFile]
) -> list[Pair]:
    """Truths and predictions by data set. Raises DataError naming the data sets that have no predictions."""
    missing = [truth.dataset for truth in truths if truth.dataset not in predictions]
    missing += [truth.dataset for truth in truths if others and truth.dataset not in others]
    if missing:
        raise DataError(
            "data sets have no file of predictions",
            found=listed(missing),
            expected="KEY.jsonl for each",
            hint="generate them, or choose data sets with --sets",
        )
    return [Pair(truth, predictions[truth.dataset], others.get(truth.dataset)) for truth in truths]


def _mean(tallies: Mapping[str, Tally]) -> tuple[Figure | None, str]:
    """The benchmark's mean, or None and why there is none."""
    here = [key for key in NINE if key in tallies]
    if len(here) < len(NINE):
        return None, f"no mean over the benchmark: {len(here)} of its {len(NINE)} data sets are here"
    empty = [key for key in here if math.isnan(tallies[key].values()[tallies[key].metric.primary])]
    if empty:
        return None, f"no mean over the benchmark: no value for {listed(empty)}"
    return mean_figure({key: tallies[key] for key in here}), ""


def _watched(predictions: Any, truth: Truth, progress: Callable[[str, int, int], None] | None) -> Any:
    for count, prediction in enumerate(predictions, 1):
        yield prediction
        if progress and count % 64 == 0:
            progress(truth.title, count, len(truth.values))
    if progress:
        progress(truth.title, len(truth.values), len(truth.values))


def _code_of(plugin: object) -> str:
    try:
        return hash_of(Path(inspect.getfile(type(plugin))))[:16]
    except (OSError, TypeError):
        return ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _trees(wheels: WheelSet) -> dict[str, dict[str, dict[str, list[str]]]]:
    return {
        wheel.name: {
            first: {second: list(words) for second, words in inner.items()} for first, inner in wheel.tree.items()
        }
        for wheel in wheels.wheels
    }
