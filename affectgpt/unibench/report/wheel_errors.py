"""The errors of one wheel at level 1: how much of each sector was missed, and which sectors were taken for which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from affectgpt.unibench.result import Confusion, DatasetResult

NONE = ""
"""The key of a [Confusion][] that stands for no sector."""

Counts = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class SectorConfusion:
    """`clips` clips of the sector `true` were read as `predicted` ([NONE][]: as no sector of the wheel)."""

    true: str
    predicted: str
    clips: float


def summed(confusions: Iterable[Confusion]) -> dict[str, dict[str, float]]:
    """The counts of several confusions of one wheel, added."""
    total: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for confusion in confusions:
        for true, row in confusion.counts.items():
            for predicted, count in row.items():
                total[true][predicted] += count
    return {true: dict(row) for true, row in total.items()}


def of_wheel(datasets: Iterable[DatasetResult], wheel: str) -> list[tuple[str, Confusion]]:
    """The confusions of `wheel`, each with the title of its data set."""
    return [
        (dataset.title, confusion)
        for dataset in datasets
        for confusion in dataset.confusion
        if confusion.wheel == wheel
    ]


def true_clips(counts: Counts, sector: str) -> float:
    """How many clips truly belong to `sector`."""
    return sum(counts.get(sector, {}).values())


def missed_share(counts: Counts, sector: str) -> float | None:
    """The share of the clips of `sector` that were not read as `sector`, in [0, 1]; None without any such clip."""
    row = counts.get(sector, {})
    total = sum(row.values())
    return None if total <= 0 else min(1.0, max(0.0, 1 - row.get(sector, 0.0) / total))


def sector_confusions(counts: Counts) -> list[SectorConfusion]:
    """All mistakes, the most frequent first; clips whose true label has no sector are left out."""
    confusions = [
        SectorConfusion(true, predicted, clips)
        for true, row in counts.items()
        for predicted, clips in row.items()
        if true not in (NONE, predicted) and clips > 0
    ]
    return sorted(confusions, key=lambda confusion: (-confusion.clips, confusion.true, confusion.predicted))


def axis(counts: Counts, sectors: Iterable[str] = ()) -> list[str]:
    """The sectors that label a matrix: those of the wheel in its order, others sorted, and "no sector" last.

    A sector without any clip, true or predicted, is left out.
    """
    present = {name for name, row in counts.items() if sum(row.values()) > 0}
    present |= {name for row in counts.values() for name, clips in row.items() if clips > 0}
    in_wheel_order = [name for name in sectors if name in present]
    extra = sorted(present - set(in_wheel_order) - {NONE})
    return [*in_wheel_order, *extra, *([NONE] if NONE in present else [])]
