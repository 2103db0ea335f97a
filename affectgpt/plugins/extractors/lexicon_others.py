"""Emotion words that a clause attributes to a person other than the one described."""

from __future__ import annotations

from collections.abc import Sequence

from affectgpt.lexicon.tokens import Token
from affectgpt.plugins.extractors.lexicon_grammar import COORDINATORS, FEELING, OTHERS, PAUSES, PREPOSITIONS

_DETERMINERS = frozenset({"the", "other", "another"})
_NEAR = 5
"""How many tokens the other person reaches."""


def about_others(clause: Sequence[Token]) -> list[bool]:
    """Per token: True for an emotion word that the clause attributes to another person.

    So in "the other person's anger", "the other person is angry" and "makes the other person angry", but not in
    "angry at the other person" or "accuses the other person angrily".
    """
    flags = [False] * len(clause)
    reach = 0
    for index, token in enumerate(clause):
        word = token.text.removesuffix("'s")
        if word in OTHERS or (word == "person" and index > 0 and clause[index - 1].text in {"other", "another"}):
            owner = word != token.text or (index + 1 < len(clause) and clause[index + 1].text == "的")
            reach = _NEAR if owner or not _governed(clause, index) else 0
        elif token.label and reach:
            flags[index] = not word.endswith("ly")
            reach = 1
        elif word in PAUSES:
            reach = 0
        elif word not in FEELING and word not in COORDINATORS:
            reach = max(reach - 2, 0)
    return flags


def _governed(clause: Sequence[Token], index: int) -> bool:
    """A preposition stands before the noun: it is no subject."""
    before = [token.text for token in clause[max(0, index - 3) : index] if token.text not in _DETERMINERS]
    return bool(before) and before[-1] in PREPOSITIONS
