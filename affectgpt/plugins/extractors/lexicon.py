"""`lexicon`: emotion labels and sentiment by rules over a list of words. No model, no network, the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from affectgpt.core.contracts import Extraction
from affectgpt.lexicon.families import lexicon
from affectgpt.lexicon.tokens import LexiconTokenizer
from affectgpt.plugins.extractors.checklist_notations import items_on_lines
from affectgpt.plugins.extractors.lexicon_checklists import names_emotion, read_checklist
from affectgpt.plugins.extractors.lexicon_config import LexiconConfig
from affectgpt.plugins.extractors.lexicon_evidence import evidence
from affectgpt.plugins.extractors.lexicon_grammar import GRAMMAR
from affectgpt.plugins.extractors.lexicon_json import json_as_text
from affectgpt.plugins.extractors.lexicon_lists import parse_label_list
from affectgpt.plugins.extractors.lexicon_negators import ASSERTION
from affectgpt.plugins.extractors.lexicon_sentiment import sentiment

NOTHING_READ = "the text names no emotion, so no sentiment can be read from it"


class Lexicon:
    """Reads English, Chinese and mixed text. `llm` is not used."""

    def __init__(self, config: LexiconConfig, llm: Any = None) -> None:
        self.config = config
        self.table = lexicon()
        self.finder = LexiconTokenizer(GRAMMAR | ASSERTION)

    def emotions(self, texts: Sequence[str]) -> list[Extraction]:
        """The labels of each text, in order of appearance; none for a text that names no emotion."""
        return [Extraction(tuple(self._weighed(text))) for text in texts]

    def sentiments(self, texts: Sequence[str]) -> list[Extraction]:
        """The sentiment of each text's labels; a text without labels has an error, never a silent "neutral"."""
        out = []
        for text in texts:
            weighed = self._weighed(text)
            out.append(Extraction((sentiment(weighed, self.table),)) if weighed else Extraction(error=NOTHING_READ))
        return out

    def _is_name(self, text: str) -> bool:
        return names_emotion(text, self.finder)

    def _weighed(self, text: str) -> Mapping[str, float]:
        """The kept labels with their evidence."""
        text = items_on_lines(json_as_text(text, self._is_name), self._is_name)
        checklist = read_checklist(text, self.finder)
        labels = parse_label_list(checklist.remainder, self.finder)
        if labels is not None:
            weighed = dict.fromkeys(labels, 1.0)
        else:
            weighed = evidence(self.finder.tokens(checklist.remainder), self.table, signs=self.config.signs)
        best = max([1.0, *weighed.values()])
        for label, share in checklist.shares.items():
            if labels is None or label in checklist.plain:
                weighed[label] = max(weighed.get(label, 0.0), best * share)
        least = self.config.keep * max(weighed.values(), default=0.0)
        return {label: weight for label, weight in weighed.items() if weight >= least}
