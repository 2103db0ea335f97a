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
from affectgpt.files.hashing import sha256_of_file
from affectgpt.registry.errors import DataError, join_names
from affectgpt.unibench.clip_values import ValueSource
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.label_extraction import extract_labels, extract_labels_cached
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.resampling import Resampling, TermSums, mean_figure
from affectgpt.unibench.result import BenchmarkResult, Comparison, DatasetResult, Figure
from affectgpt.unibench.scoring import DatasetScorer, ScoringRules
from affectgpt.unibench.truth import Truth
from affectgpt.unibench.wheels.wheel_set import WheelSet

NINE = tuple(TEST_SETS)
_PACKAGES = ("affectgpt", "numpy", "simplemma", "openpyxl")


@dataclass(frozen=True)
class ScoringPair:
    """A data set's truth, a system's predictions for it, and those of another system to compare with, if any."""

    truth: Truth
    predictions: ValueSource
    baseline: ValueSource | None = None


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
    cache_folder: Path | None = None

    def score(
        self,
        system: str,
        pairs: Sequence[ScoringPair],
        *,
        baseline_name: str = "",
        progress: Callable[[str, int, int], None] | None = None,
    ) -> BenchmarkResult:
        """Score a system. `progress` is told a data set's title, how many predictions were read, and of how many.

        Raises DataError for predictions that do not fit their truth, and what the extractor raises.
        """
        table = SectorTable(self.wheels)
        results: list[DatasetResult] = []
        tallies: dict[str, TermSums] = {}
        comparisons: list[Comparison] = []
        for pair in pairs:
            paired = pair.baseline is not None
            scorer = DatasetScorer(pair.truth, table, self.resampling, self.rules, paired=paired)
            results.append(
                scorer.read(
                    _with_progress(self._predictions(pair.truth, pair.predictions, system), pair.truth, progress)
                )
            )
            tallies[pair.truth.dataset] = scorer.tally
            if pair.baseline is not None:
                baseline_scorer = DatasetScorer(pair.truth, table, self.resampling, self.rules, paired=paired)
                baseline_scorer.read(
                    _with_progress(self._predictions(pair.truth, pair.baseline, baseline_name), pair.truth, progress)
                )
                comparison = scorer.tally.compare_with(baseline_scorer.tally, pair.truth.dataset, baseline_name)
                comparisons.append(replace(comparison, clips=results[-1].clips))
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

    def _predictions(self, truth: Truth, values: ValueSource, system: str) -> Any:
        if self.cache_folder is None or values.content == "labels":
            return extract_labels(values, truth.task, self.extractor)
        plain = re.sub(r"[^\w.-]+", "_", system) or "system"
        settings = {
            "format": "affectgpt labels read out",
            "task": truth.task,
            "predictions": values.digest(),
            "field": values.field,
            "extractor": self._extractor(),
            # A plugin's file may change without its version: labels that the former code read are not the new one's.
            "extractor_code": _code_of(self.extractor.plugin),
            "versions": _versions(),
        }
        return extract_labels_cached(
            values, truth.task, self.extractor, self.cache_folder / f"{truth.dataset}.{plain[:100]}.jsonl", settings
        )

    def _extractor(self) -> dict[str, Any]:
        return dict(self.extractor.node.model_dump(mode="json"))

    def _settings(self, pairs: Sequence[ScoringPair]) -> dict[str, Any]:
        runs = {pair.truth.dataset: pair.predictions.run_settings() for pair in pairs}
        names = ("model", "prompt", "question", "seed", "generation", "batch_size")
        settings: dict[str, Any] = {
            "wheels": self.wheels.name,
            "wheels_fingerprint": self.wheels.fingerprint,
            "read_as": {pair.truth.dataset: f"{pair.predictions.content} ({pair.predictions.field})" for pair in pairs},
            "resampling": asdict(self.resampling),
            "rules": asdict(self.rules),
        }
        if any(values.content == "text" for pair in pairs for values in (pair.predictions, pair.baseline) if values):
            settings["extractor"] = self._extractor()
        run_settings = {key: {name: run[name] for name in names if name in run} for key, run in runs.items() if run}
        if run_settings:
            first = next(iter(run_settings.values()))
            settings["predictions"] = first if all(each == first for each in run_settings.values()) else run_settings
        return settings


def pair_files(
    truths: Sequence[Truth], predictions: Mapping[str, ValueSource], baselines: Mapping[str, ValueSource]
) -> list[ScoringPair]:
    """Truths and predictions by data set. Raises DataError naming the data sets that have no predictions."""
    missing = [truth.dataset for truth in truths if truth.dataset not in predictions]
    missing += [truth.dataset for truth in truths if baselines and truth.dataset not in baselines]
    if missing:
        raise DataError(
            "data sets have no file of predictions",
            found=join_names(missing),
            expected="KEY.jsonl for each",
            hint="generate them, or choose data sets with sets=",
        )
    return [ScoringPair(truth, predictions[truth.dataset], baselines.get(truth.dataset)) for truth in truths]


def _mean(tallies: Mapping[str, TermSums]) -> tuple[Figure | None, str]:
    """The benchmark's mean, or None and why there is none."""
    present = [key for key in NINE if key in tallies]
    if len(present) < len(NINE):
        return None, f"no mean over the benchmark: {len(present)} of its {len(NINE)} data sets are here"
    empty = [key for key in present if math.isnan(tallies[key].values()[tallies[key].metric.primary])]
    if empty:
        return None, f"no mean over the benchmark: no value for {join_names(empty)}"
    return mean_figure({key: tallies[key] for key in present}), ""


def _with_progress(predictions: Any, truth: Truth, progress: Callable[[str, int, int], None] | None) -> Any:
    for count, prediction in enumerate(predictions, 1):
        yield prediction
        if progress and count % 64 == 0:
            progress(truth.title, count, len(truth.values))
    if progress:
        progress(truth.title, len(truth.values), len(truth.values))


def _code_of(plugin: object) -> str:
    try:
        return sha256_of_file(Path(inspect.getfile(type(plugin))))[:16]
    except (OSError, TypeError):
        return ""


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _trees(wheels: WheelSet) -> dict[str, dict[str, dict[str, list[str]]]]:
    return {
        wheel.name: {
            first: {second: list(words) for second, words in inner.items()} for first, inner in wheel.tree.items()
        }
        for wheel in wheels.wheels
    }
