"""What scoring found out, in plain values: written as JSON, read by every report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured number, as a fraction (0.6252, not 62.52); `low` and `high` bound its 95 % interval, or are None.

    `value` is None where the metric has no value (the official scripts print NaN there).
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class WorstClip:
    """A clip that scored low: its text, the labels read out of it, the true ones, and the clip's own score."""

    id: str
    text: str
    predicted: tuple[str, ...]
    true: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class Confusion:
    """For one wheel at level 1: `counts[true][predicted]` clips that are truly in one sector and were put in another.

    The key "" stands for no sector: the label has no place on this wheel, or nothing was predicted. Counts of a clip
    with several labels are shared out, so that each clip counts 1 in all: they are floats.
    """

    wheel: str
    counts: dict[str, dict[str, float]]


@dataclass(frozen=True)
class DatasetResult:
    """The scores of one data set.

    - `dataset`: its key ("mer2023"), `title`: its name ("MER2023"); `task`: fine-grained, basic or sentiment.
    - `primary`: the key in `figures` that enters the benchmark's mean.
    - `figures`: by name: `f1`, `precision`, `recall`, `hit_rate`, `labels_per_clip`, `weighted_f1`, `accuracy`, ...
    - `per_wheel`: wheel -> figure name -> value (empty for sentiment).
    - `clips`: how many counted; `excluded`: why others did not -> how many; `counted_wrong`: why some that counted were
      taken as wrong -> how many; `notes`: what else a reader must know -> how many. Zero counts are left out.
    - `expected`: how many clips the published test set has, None when unknown.
    """

    dataset: str
    title: str
    task: str
    primary: str
    figures: dict[str, Figure]
    clips: int
    excluded: dict[str, int] = field(default_factory=dict)
    counted_wrong: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    expected: int | None = None
    per_wheel: dict[str, dict[str, float | None]] = field(default_factory=dict)
    confusion: tuple[Confusion, ...] = ()
    worst: tuple[WorstClip, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A paired test against another system on one data set: difference of the primary figure (this minus other)."""

    dataset: str
    other: str
    difference: Figure
    p_value: float
    clips: int


@dataclass(frozen=True)
class BenchmarkResult:
    """Scores of a system on one or more data sets.

    - `mean`: the plain mean of the primary figures; None unless all nine data sets are there. `incomplete` says why.
    - `settings`: what produced it (wheels, extractor, seed, ...), `versions`: package -> version.
    - `wheel_trees`: wheel -> level-1 sector -> level-2 sector -> words, for drawing.
    """

    system: str
    datasets: tuple[DatasetResult, ...]
    mean: Figure | None
    incomplete: str = ""
    official_wheels: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    wheel_trees: dict[str, dict[str, dict[str, list[str]]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return asdict(self)
