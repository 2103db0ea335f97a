"""What the 16 synthetic emotions are called in the label sets of MER-UniBench. No numpy.

The sets are coarser than the emotions: several share a word. Valence runs from -1 to 1 and is 0 for two of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.synthetic.script import Combination
from affectgpt.unibench.datasets.layouts import TestSet


@dataclass(frozen=True)
class _Names:
    mer: str
    iemocap: str
    meld: str
    valence: float


_NAMES = {
    "joy": _Names("happy", "happy", "joy", 0.8),
    "mockery": _Names("angry", "anger", "disgust", -0.4),
    "nervousness": _Names("worried", "sad", "fear", -0.4),
    "politeness": _Names("neutral", "neutral", "neutral", 0.0),
    "teasing": _Names("happy", "happy", "joy", 0.6),
    "anger": _Names("angry", "anger", "anger", -0.8),
    "hurt": _Names("sad", "sad", "sadness", -0.6),
    "contempt": _Names("angry", "anger", "disgust", -0.6),
    "amazement": _Names("surprise", "happy", "surprise", 1.0),
    "shock": _Names("surprise", "neutral", "surprise", -0.2),
    "fear": _Names("worried", "sad", "fear", -0.8),
    "disbelief": _Names("surprise", "neutral", "surprise", 0.0),
    "nostalgia": _Names("sad", "sad", "sadness", 0.2),
    "bitterness": _Names("angry", "anger", "anger", -0.6),
    "grief": _Names("sad", "sad", "sadness", -1.0),
    "weariness": _Names("neutral", "neutral", "neutral", -0.2),
}
"""By the emotion's first label."""


def valence(combination: Combination) -> float:
    """From negative (-1) to positive (1)."""
    return _NAMES[combination.labels[0]].valence


def basic_label(combination: Combination, test_set: TestSet) -> str:
    """The label of `combination` in a basic test set: one of `test_set.words`."""
    names = _NAMES[combination.labels[0]]
    return {"iemocap": names.iemocap, "meld": names.meld}.get(test_set.key, names.mer)
