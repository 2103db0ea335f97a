"""Sentiment: positive or negative, scored by weighted F-score and accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectgpt.unibench.metrics.metric import ratio


class SentimentScore:
    """Weighted F-score and accuracy of positive against not positive, over the clips whose true value is not 0.

    A prediction counts as positive when it is exactly "positive", and as negative otherwise, *neutral* included: so do
    the official scripts. The weighted F-score is the mean of the two classes' F-scores weighted by how many clips are
    truly of each (scikit-learn's `f1_score(average="weighted")`; a class without F counts 0).
    """

    primary = "weighted_f1"

    def terms(self, truth: Sequence[float], predicted: Sequence[str]) -> np.ndarray:
        """1 in one of four places (true and said positive; true negative, said positive; ...), then neutral, 1."""
        value = np.asarray(truth, dtype=np.float64)
        predicted_positive = np.array([label == "positive" for label in predicted], dtype=bool)
        positive, counted = value > 0, value != 0
        cells = [
            positive & predicted_positive,
            counted & ~positive & predicted_positive,
            positive & ~predicted_positive,
            counted & ~positive & ~predicted_positive,
        ]
        neutral = counted & np.array([label == "neutral" for label in predicted], dtype=bool)
        return np.stack([*cells, neutral, counted], axis=1).astype(np.float64)

    def figures(self, sums: np.ndarray, *, empty: float = np.nan) -> dict[str, np.ndarray]:
        """`weighted_f1`, `accuracy`, and `neutral_rate`: how often neither was said."""
        both_positive, false_positive, false_negative, both_negative, neutral, clips = np.moveaxis(sums, -1, 0)
        wrong = false_positive + false_negative
        scores = [np.nan_to_num(ratio(2 * right, 2 * right + wrong)) for right in (both_positive, both_negative)]
        shares = [both_positive + false_negative, both_negative + false_positive]
        weighted = sum(score * share for score, share in zip(scores, shares, strict=True))
        return {
            "weighted_f1": ratio(np.asarray(weighted), clips),
            "accuracy": ratio(both_positive + both_negative, clips),
            "neutral_rate": ratio(neutral, clips),
        }
