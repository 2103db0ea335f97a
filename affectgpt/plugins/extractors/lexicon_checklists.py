"""Which items of a checklist name an emotion, and what remains of the text without them."""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.lexicon.tokens import LexiconTokenizer
from affectgpt.plugins.extractors.checklists import ListedItem, checklist_items
from affectgpt.plugins.extractors.lexicon_grammar import COORDINATORS, closed_class

_FILLERS = COORDINATORS | closed_class(
    "level, levels, score, of, is, are, was, present, detected, the, a, any, some, emotion, emotions, intensity, "
    "degree, presence, probability, has, have, feeling, feels, feel, expression, sign, signs, evidence, indication, "
    "indications, trace, traces, hint, hints, visible, clear, obvious, shows, show, i, see, he, she, they, person, "
    "there, 情绪, 情感, 程度, 强度, 分数, 得分, 感, 的, 是, 是否, 有没有, 是不是, 吗, 他, 她, 人, 有, 存在"
)
"""Words that may stand beside the emotion word in the name of an item."""


@dataclass(frozen=True)
class Checklist:
    """What a checklist says.

    `shares`: label -> how far it is there, above 0 and at most 1; `plain`: those of a plain yes; `remainder`: the text
    without the items.
    """

    shares: dict[str, float]
    plain: frozenset[str]
    remainder: str


def read_checklist(text: str, finder: LexiconTokenizer) -> Checklist:
    """The items of `text` whose name is an emotion word. Scores above 1 are shares of the highest one.

    A behaviour ("smiling: yes") is only taken out where it is absent.
    """
    shares: dict[str, float] = {}
    plain: set[str] = set()
    pieces: list[str] = []
    position = 0
    for item in checklist_items(text):
        labels = _labels(item, finder)
        if not labels or item.start < position:
            continue
        if item.share:
            shares.update({label: max(shares.get(label, 0.0), item.share) for label in labels})
        if item.plain:
            plain.update(labels)
        pieces.append(text[position : item.start])
        position = item.end
    highest = max([1.0, *shares.values()])
    shares = {label: share / highest for label, share in shares.items()}
    return Checklist(shares, frozenset(plain & shares.keys()), "".join([*pieces, text[position:]]))


def names_emotion(name: str, finder: LexiconTokenizer) -> bool:
    """Whether `name` holds an emotion word, and nothing else that counts."""
    return bool(_labels(ListedItem(name, 1.0, True, False, 0, 0), finder))


def _labels(item: ListedItem, finder: LexiconTokenizer) -> list[str]:
    """The labels in the name of an item; none when it holds anything that is no emotion word and no filler."""
    tokens = finder.tokens(item.name)
    named = [token for token in tokens if token.label and not (token.sign and item.share)]
    strays = [token for token in tokens if token not in named]
    # "Confidence: 0.9" is how sure the writer is.
    if (item.bare and (strays or not item.plain)) or (item.name.lower() == "confidence" and not item.plain):
        return []
    return [token.label for token in named] if all(token.text in _FILLERS for token in strays) else []
