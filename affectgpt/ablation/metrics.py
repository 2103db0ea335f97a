"""Figures of a variant's answers, and the difference between two variants on the same clips."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from affectgpt.data.samples import Sample
from affectgpt.registry.errors import ConfigError
from affectgpt.synthetic.score import score_texts

Metric: TypeAlias = Callable[[Sequence[str], Sequence[Sample]], Mapping[str, float]]
"""`(texts, samples)` of one model on the test clips -> figures by name; a larger one is better."""


def label_scores(texts: Sequence[str], samples: Sequence[Sample]) -> dict[str, float]:
    """`exact`: the share of clips whose first label is right; `f1`: the mean F1 of the labels that texts end with.

    The true labels are those that a clip's description ends with, or the clip's labels when it has no description.
    """
    truths = [sample.description or f"Emotion: {', '.join(sample.labels)}." for sample in samples]
    score = score_texts(texts, truths)
    return {"exact": score.exact, "f1": score.f1}


def evaluate(metric: Metric, texts: Sequence[str], samples: Sequence[Sample]) -> dict[str, float]:
    """The figures of a metric. Raises ConfigError when it does not return numbers by name."""
    figures = metric(texts, samples)
    if not isinstance(figures, Mapping) or not all(
        isinstance(name, str) and isinstance(value, int | float) for name, value in figures.items()
    ):
        raise ConfigError(
            "the metric must return numbers by name",
            where="metric",
            found=repr(figures)[:200],
            expected="{name: float}",
        )
    return {name: float(value) for name, value in figures.items()}


@dataclass(frozen=True)
class PairedDifference:
    """How much better the row `name` is than the row `baseline` on the same clips and seeds, in one figure.

    `difference` is the mean over the seeds; `low` and `high` bound its 95 % interval: a percentile bootstrap over the
    clips (Efron & Tibshirani 1993, chapter 13). The seeds are taken as they are.
    """

    name: str
    baseline: str
    metric: str
    difference: float
    low: float
    high: float
    seeds: int
    clips: int


def paired_differences(
    name: str,
    baseline: str,
    texts: Sequence[tuple[Sequence[str], Sequence[str]]],
    samples: Sequence[Sample],
    metric: Metric,
    *,
    resamples: int,
) -> list[PairedDifference]:
    """The differences between two rows; `texts` are the answers of the row and of the baseline, seed by seed."""
    means = _mean_differences(texts, samples, metric)
    draw = random.Random(0)
    replicates: dict[str, list[float]] = {figure: [] for figure in means}
    for _ in range(resamples):
        chosen = draw.choices(range(len(samples)), k=len(samples))
        pairs = [([row[index] for index in chosen], [other[index] for index in chosen]) for row, other in texts]
        for figure, value in _mean_differences(pairs, [samples[index] for index in chosen], metric).items():
            replicates[figure].append(value)
    return [
        PairedDifference(name, baseline, figure, mean, *_interval(replicates[figure], mean), len(texts), len(samples))
        for figure, mean in means.items()
    ]


def _mean_differences(
    texts: Sequence[tuple[Sequence[str], Sequence[str]]], samples: Sequence[Sample], metric: Metric
) -> dict[str, float]:
    pairs = [(evaluate(metric, row, samples), evaluate(metric, other, samples)) for row, other in texts]
    return {figure: statistics.mean(row[figure] - other[figure] for row, other in pairs) for figure in pairs[0][0]}


def _interval(values: Sequence[float], mean: float) -> tuple[float, float]:
    if len(values) < 2:
        return mean, mean
    bounds = statistics.quantiles(values, n=40, method="inclusive")
    return bounds[0], bounds[-1]
