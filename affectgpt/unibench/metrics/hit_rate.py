"""Basic emotion: do the predicted labels hit the one true label on the wheels, and how many others do they name?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from affectgpt.unibench.metrics.metric import f_score, ratio
from affectgpt.unibench.metrics.sector_table import LabelIndices, SectorTable

_TERMS = 4


class HitRate:
    """Hit rate on emotion wheels at level 1 (Lian et al., 2025, arXiv:2501.16566, appendix J), and what it hides.

    Per clip and wheel, with t the sector of the true label, P those of the predicted ones and C those of all
    `candidates` (the true labels that occur): hit = 1 if t is in P; `hit_share` divides the hit by |P n C|. A clip
    whose true label has no sector on a wheel (such as *neutral*) is left out there. The score is the mean over wheels.

    The hit rate cannot fall by naming more labels. So `precision` (1 / |P| for a hit), `f1` of precision and hit
    rate (0 when both are 0), and `labels_per_clip` stand beside it; these are this project's own and not part of the
    official scripts.
    """

    primary = "hit_rate"

    def __init__(self, table: SectorTable, candidates: Iterable[str]) -> None:
        self.table = table
        self.columns = tuple(column for column in table.columns if column.level == 1)
        self._candidates = table.read([sorted(set(candidates))])

    def terms(self, truth: Sequence[str], predicted: Sequence[object]) -> np.ndarray:
        """Per wheel hit, hit share, precision, 1 if the clip counts; then the number of labels, and 1."""
        return self.terms_of_indices(self.table.read([[label] for label in truth]), self.table.read(predicted))

    def terms_of_indices(self, true: LabelIndices, predicted: LabelIndices) -> np.ndarray:
        """As [terms][], of labels that are read already."""
        in_truth, in_prediction = self.table.sets(true), self.table.sets(predicted)
        candidate_sectors = in_prediction & self.table.sets(self._candidates)
        levels = slice(len(self.columns))
        hit = self.table.sizes(in_truth & in_prediction)[:, levels]
        predicted_sizes = self.table.sizes(in_prediction)[:, levels]
        candidates = self.table.sizes(candidate_sectors)[:, levels]
        counted = self.table.sizes(in_truth)[:, levels] > 0
        terms = np.stack([hit, hit / np.maximum(candidates, 1), hit / np.maximum(predicted_sizes, 1), counted], axis=2)
        return np.hstack([terms.reshape(len(terms), -1), predicted.counts[:, None], np.ones((len(terms), 1))])

    def by_column(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Hit rate, hit share, precision, F and number of clips per wheel, `[..., W]`."""
        terms = sums[..., :-2].reshape(*sums.shape[:-1], len(self.columns), _TERMS)
        counted = terms[..., 3]
        rate, precision = ratio(terms[..., 0], counted), ratio(terms[..., 2], counted)
        share = ratio(terms[..., 1], counted)
        return {
            "hit_rate": rate,
            "hit_share": share,
            "precision": precision,
            "f1": f_score(precision, rate, empty=0.0),
            "clips": counted,
        }

    def figures(self, sums: np.ndarray, *, empty: float = np.nan) -> dict[str, np.ndarray]:
        """`hit_rate`, `hit_share` (the official scripts' mscore), `precision`, `f1`, `labels_per_clip`."""
        by_column = self.by_column(sums)
        figures = {name: by_column[name].mean(axis=-1) for name in ("hit_rate", "hit_share", "precision", "f1")}
        figures["labels_per_clip"] = ratio(sums[..., -2], sums[..., -1])
        return figures
