"""What a metric is here: numbers per clip that are added up, and figures computed from the sums.

Because every figure is a function of sums over clips, scores stream in bounded memory, and the same code gives the
score, its bootstrap interval (weighted sums) and a paired test (sums over exchanged clips): see `resampling.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Metric(Protocol):
    """A metric of one task.

    `primary` names the figure that enters the benchmark's mean.
    """

    primary: str

    def terms(self, truth: Sequence[Any], predicted: Sequence[Any]) -> np.ndarray:
        """What each clip adds, float64 `[n, K]`; K is always the same."""

    def figures(self, sums: np.ndarray, *, empty: float = np.nan) -> dict[str, np.ndarray]:
        """Sums `[..., K]` -> figures `[...]` by name, as fractions; NaN where a figure has no value.

        `empty` is what an official F-score is that has none because precision and recall are 0.
        """


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """`above / below`, NaN where `below` is 0."""
    out = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def f_score(precision: np.ndarray, recall: np.ndarray, *, empty: float = np.nan) -> np.ndarray:
    """`2pr / (p + r)`; `empty` where both are 0 (the official scripts have no value there: NaN)."""
    score = ratio(2 * precision * recall, precision + recall)
    return np.where((precision == 0) & (recall == 0), empty, score)
