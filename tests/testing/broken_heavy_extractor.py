"""An extractor whose options cost torch; apart from the others, because the import of a file is what is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from affectgpt import Extraction, ExtractorConfig, extractor


class HeavyConfig(ExtractorConfig):
    least: float = torch.finfo(torch.float32).eps


@extractor("light-config", config=HeavyConfig)
class Heavy:
    """Finds nothing."""

    def __init__(self, config: Any, llm: Any) -> None:
        self.config = config

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction() for _ in texts]

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        return [Extraction(("neutral",)) for _ in texts]
