"""Fine-grained emotion: how far the predicted set of labels and the true one lie in the same sectors of the wheels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affectgpt.unibench.metrics.metric import f_score, ratio
from affectgpt.unibench.metrics.sector_table import LabelIndices, SectorTable


class WheelOverlap:
    """Set precision, recall and F-score on emotion wheels (Lian et al., 2025, arXiv:2501.16566, appendix J).

    Per clip and comparison, with T the sectors of the true labels and P those of the predicted ones: precision
    |T n P| / |P| and recall |T n P| / |T|, both 0 when P is empty; a clip with empty T is left out. F comes from the
    averages of precision and recall over clips, and the score is the mean of F over the wheels at level 1. When F has
    no value on one wheel (precision and recall 0, or no clip), the mean has none: NaN, as in the official scripts.
    """

    primary = "f1"

    def __init__(self, table: SectorTable) -> None:
        self.table = table
        self.columns = table.columns

    def terms(self, truth: Sequence[Any], predicted: Sequence[Any]) -> np.ndarray:
        """Per comparison precision, recall and 1 if the clip counts; then the number of labels, and 1."""
        return self.terms_of_indices(self.table.read(truth), self.table.read(predicted))

    def terms_of_indices(self, true: LabelIndices, predicted: LabelIndices) -> np.ndarray:
        """As [terms][], of labels that are read already."""
        in_truth, in_prediction = self.table.sets(true), self.table.sets(predicted)
        true_sizes, predicted_sizes = self.table.sizes(in_truth), self.table.sizes(in_prediction)
        both = self.table.sizes(in_truth & in_prediction)
        terms = np.stack(
            [both / np.maximum(predicted_sizes, 1), both / np.maximum(true_sizes, 1), true_sizes > 0], axis=2
        )
        return np.hstack([terms.reshape(len(terms), -1), predicted.counts[:, None], np.ones((len(terms), 1))])

    def by_column(self, sums: np.ndarray, *, empty: float = np.nan) -> dict[str, np.ndarray]:
        """Precision, recall, F and number of clips per comparison, `[..., C]`, in the order of `columns`."""
        terms = sums[..., :-2].reshape(*sums.shape[:-1], len(self.columns), 3)
        precision, recall = ratio(terms[..., 0], terms[..., 2]), ratio(terms[..., 1], terms[..., 2])
        return {
            "precision": precision,
            "recall": recall,
            "f1": f_score(precision, recall, empty=empty),
            "clips": terms[..., 2],
        }

    def figures(self, sums: np.ndarray, *, empty: float = np.nan) -> dict[str, np.ndarray]:
        """`f1`, `precision`, `recall` at level 1, the same at level 2, `f1_levels_1_2`, `labels_per_clip`."""
        by_column = self.by_column(sums, empty=empty)
        figures = {}
        for level, suffix in ((1, ""), (2, "_level_2")):
            indices = [index for index, column in enumerate(self.columns) if column.level == level]
            for name in ("f1", "precision", "recall"):
                figures[name + suffix] = by_column[name][..., indices].mean(axis=-1)
        # The score of the MER2025 challenge's second track.
        figures["f1_levels_1_2"] = (figures["f1"] + figures["f1_level_2"]) / 2
        figures["labels_per_clip"] = ratio(sums[..., -2], sums[..., -1])
        return figures
