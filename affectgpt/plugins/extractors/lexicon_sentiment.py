"""From weighed labels to one sentiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from affectgpt.lexicon.families import Lexicon

Sentiment = Literal["positive", "negative", "neutral"]
_SIGN = {"positive": 1, "negative": -1, "neutral": 0, "either": 0}


def sentiment(weighed: Mapping[str, float], lexicon: Lexicon) -> Sentiment:
    """The side on which more of the labels' evidence lies, each times its strength; "neutral" when neither does.

    Excitement is of the side of what it stands with, and positive when it stands with nothing of a side.
    """
    balance = 0.0
    for label, weight in weighed.items():
        family = lexicon.families[label]
        balance += _SIGN[family.valence] * weight * family.strength
    sided = any(lexicon.families[label].valence in {"positive", "negative"} for label in weighed)
    if not sided and any(lexicon.families[label].valence == "either" for label in weighed):
        return "positive"
    return "positive" if balance > 0 else "negative" if balance < 0 else "neutral"
