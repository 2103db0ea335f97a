"""Which sectors are taken for which, per wheel at level 1."""

from __future__ import annotations

import numpy as np

from affectgpt.unibench.metrics.sector_table import LabelIndices, SectorTable
from affectgpt.unibench.result import Confusion


class ConfusionCounter:
    """Counts true against predicted sectors; each clip with a true sector counts 1 in all.

    A clip's 1 is shared out evenly over its true sectors. A true sector that was predicted goes to itself. The share of
    one that was missed goes evenly to the sectors that were predicted without being true, or to no sector when there
    are none.
    """

    def __init__(self, table: SectorTable) -> None:
        self.table = table
        self._columns = [index for index, column in enumerate(table.columns) if column.level == 1]
        self._counts = [np.zeros((0, 1)) for _ in self._columns]

    def add(self, true: LabelIndices, predicted: LabelIndices) -> None:
        """Count clips."""
        truths, predictions = self.table.sets(true), self.table.sets(predicted)
        for index, column in enumerate(self._columns):
            in_truth, in_prediction = self.table.indicator(truths, column), self.table.indicator(predictions, column)
            share = 1 / np.maximum(in_truth.sum(axis=1, keepdims=True), 1)
            wrong = in_prediction & ~in_truth
            none = ~wrong.any(axis=1, keepdims=True)
            confused_share = np.hstack([wrong, none]) / np.maximum(wrong.sum(axis=1, keepdims=True), 1)
            counts = (share * (in_truth & ~in_prediction)).T @ confused_share
            counts[np.diag_indices(in_truth.shape[1])] += (share * (in_truth & in_prediction)).sum(axis=0)
            self._counts[index] = _grown(self._counts[index], in_truth.shape[1]) + counts

    def result(self) -> tuple[Confusion, ...]:
        """The counts per wheel, sectors by name; a sector that is never true has no row."""
        confusions = []
        for column, counts in zip(self._columns, self._counts, strict=True):
            names = [*self.table.sectors[column][: len(counts)], ""]
            rows = {
                names[row]: {names[at]: round(float(counts[row, at]), 6) for at in np.flatnonzero(counts[row])}
                for row in range(len(counts))
                if counts[row].any()
            }
            confusions.append(Confusion(self.table.columns[column].name, {name: rows[name] for name in sorted(rows)}))
        return tuple(confusions)


def _grown(counts: np.ndarray, sectors: int) -> np.ndarray:
    # Sectors are numbered as they are met; the last column, "no sector", stays the last.
    grown = np.zeros((sectors, sectors + 1))
    old = len(counts)
    grown[:old, :old], grown[:old, -1] = counts[:, :-1], counts[:, -1]
    return grown
