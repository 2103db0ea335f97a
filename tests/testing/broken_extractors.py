"""Extractors that each break one promise. The check that is meant to catch each is its name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from pydantic import field_serializer

from affectgpt import Extraction, ExtractorConfig, extractor

WORDS = ("happy", "surprised", "angry", "worried")
_SERIAL = count()


class Config(ExtractorConfig):
    """No options."""


@extractor("good-words", config=Config)
class Good:
    """Finds four words, and calls everything else neutral."""

    def __init__(self, config: Any, llm: Any) -> None:
        self.config = config

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(tuple(word for word in WORDS if word in text.lower())) for text in texts]

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(("positive" if "happy" in text.lower() else "neutral",)) for text in texts]


@extractor("emotion-labels", config=Config)
class Capitals(Good):
    """Gives labels with a capital."""

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(tuple(label.title() for label in each.labels)) for each in super().emotions(texts)]


@extractor("one-sentiment", config=Config)
class Fourth(Good):
    """Knows a fourth sentiment."""

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(("mixed" if "surprised" in text else "neutral",)) for text in texts]


@extractor("each-by-itself", config=Config)
class Neighbours(Good):
    """Takes over what the text before said."""

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        results = super().sentiments(texts)
        return [results[max(0, index - 1)] for index in range(len(results))]


@extractor("no-texts", config=Config)
class Never(Good):
    """Gives something for nothing."""

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        return super().emotions(texts) or [Extraction()]


@extractor("blank-text", config=Config)
class Guessing(Good):
    """Sees an emotion where there is no text."""

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        return [
            Extraction(("calm",)) if not text.strip() else super(Guessing, self).emotions([text])[0] for text in texts
        ]


@extractor("odd-text", config=Config)
class Narrow(Good):
    """Cannot read what is no UTF-8."""

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        for text in texts:
            text.encode("utf-8")
        return super().sentiments(texts)


@extractor("same-again", config=Config)
class Moody(Good):
    """Reads as its place in the order of their making says."""

    def __init__(self, config: Any, llm: Any) -> None:
        super().__init__(config, llm)
        self.mood = ("positive", "negative")[next(_SERIAL) % 2]

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction((self.mood,)) for _ in texts]


class Forgetful(ExtractorConfig):
    least: int = 1

    @field_serializer("least")
    def _wrong(self, value: int) -> int:
        return value + 1


@extractor("config-json", config=Forgetful)
class Forgets(Good):
    """Writes another option than it was given."""
