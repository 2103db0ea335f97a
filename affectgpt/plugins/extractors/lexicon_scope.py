"""Whether a clause asserts an emotion word of the person described: negation, doubt, wishes, pretence, other people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from affectgpt.lexicon.finding import Token
from affectgpt.plugins.extractors.lexicon_grammar import (
    BETWEEN,
    COORDINATORS,
    FEELING,
    NEGATORS,
    NOT_NEGATING,
    OTHERS,
    PAUSES,
    PLAIN_NOT,
    PREPOSITIONS,
    PRETENCE,
    TURNS,
    UNDECIDED,
    WISHES,
)

_DETERMINERS = frozenset({"the", "other", "another"})
Fate = Literal["", "dropped", "opposite"]
_NEAR, _FAR = 5, 12
"""How many tokens a negator reaches, and a verb whose whole complement is not asserted (whether, hope)."""
_LISTED = 2
"""How many more after a negated word, so that the next in a list is reached: "no anger, fear or sadness"."""


def denied(clause: Sequence[Token]) -> list[Fate]:
    """Per token: "" when asserted, "opposite" when plainly negated ("not very happy"), else "dropped"."""
    fates: list[Fate] = [""] * len(clause)
    reach, far, plain = 0, False, False
    for at, token in enumerate(clause):
        word = token.text
        if word in NOT_NEGATING or word in TURNS:
            reach = 0
        elif word in UNDECIDED or word in WISHES:
            reach, far, plain = _FAR, True, False
        elif word in NEGATORS or word in PRETENCE:
            reach, far, plain = _NEAR, False, word in PLAIN_NOT
        elif word in PAUSES:
            reach = reach if far or _list_goes_on(clause, at) else 0
        elif reach and token.label:
            fates[at] = "opposite" if plain else "dropped"
            reach, plain = (reach - 1 if far else _LISTED), False
        elif reach:
            reach, plain = reach - 1, plain and word in BETWEEN
    return fates


def _list_goes_on(clause: Sequence[Token], comma: int) -> bool:
    after = clause[comma + 1] if comma + 1 < len(clause) else None
    return after is not None and bool(clause[comma - 1].label) and (bool(after.label) or after.text in COORDINATORS)


def of_another(clause: Sequence[Token]) -> list[bool]:
    """Per token: True for an emotion word that the clause says of another person than the one described.

    So in "the other person's anger", "the other person is angry" and "makes the other person angry", but not in
    "angry at the other person" or "accuses the other person angrily".
    """
    found = [False] * len(clause)
    reach = 0
    for at, token in enumerate(clause):
        word = token.text.removesuffix("'s")
        if word in OTHERS or (word == "person" and at > 0 and clause[at - 1].text in {"other", "another"}):
            owner = word != token.text or (at + 1 < len(clause) and clause[at + 1].text == "的")
            reach = _NEAR if owner or not _governed(clause, at) else 0
        elif token.label and reach:
            found[at] = not word.endswith("ly")
            reach = 1
        elif word in PAUSES:
            reach = 0
        elif word not in FEELING and word not in COORDINATORS:
            reach = max(reach - 2, 0)
    return found


def _governed(clause: Sequence[Token], at: int) -> bool:
    """A preposition stands before the noun: it is no subject."""
    before = [token.text for token in clause[max(0, at - 3) : at] if token.text not in _DETERMINERS]
    return bool(before) and before[-1] in PREPOSITIONS
