"""Options of the `lexicon` extractor. No torch."""

from __future__ import annotations

from pydantic import Field

from affectgpt.core.contracts import ExtractorConfig


class LexiconConfig(ExtractorConfig):
    """`lexicon`: rules over a curated list of emotion words, no model.

    A label is kept when its evidence is at least `keep` of that of the best-supported label of the text.
    """

    keep: float = Field(
        default=0.5, ge=0, le=1, description="a label needs this share of the best label's evidence; 0 keeps every one"
    )
    signs: bool = Field(
        default=True, description="let a smile, laughter or tears count as weak evidence where words are scarce"
    )
