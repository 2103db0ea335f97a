"""Options of the `lexicon` extractor. No torch."""

from __future__ import annotations

from pydantic import Field

from affectgpt.core.contracts import ExtractorConfig
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="extractor",
    name="lexicon",
    config=f"{__name__}:LexiconConfig",
    target="affectgpt.plugins.extractors.lexicon:Lexicon",
    summary="rules over a list of emotion words, English and Chinese, no model (simplemma)",
    citation="lemmas: simplemma, Barbaresi, doi:10.5281/zenodo.4673264",
)


class LexiconConfig(ExtractorConfig, defer_build=True):
    """`lexicon`: rules over a curated list of emotion words, no model.

    A label is kept when its evidence is at least `keep` of that of the best-supported label of the text.
    """

    keep: float = Field(
        default=0.5, ge=0, le=1, description="a label needs this share of the best label's evidence; 0 keeps every one"
    )
    signs: bool = Field(
        default=True, description="let a smile, laughter or tears count as weak evidence where words are scarce"
    )
