"""Whether a clause asserts an emotion word: negation, doubt, wishes, pretence, conditions, the past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from affectgpt.lexicon.families import Lexicon, lexicon
from affectgpt.lexicon.tokens import Token
from affectgpt.plugins.extractors.lexicon_grammar import (
    COORDINATORS,
    DIMINISHERS,
    FEELING,
    INTENSIFIERS,
    PAUSES,
    TURNS,
)
from affectgpt.plugins.extractors.lexicon_negators import (
    ALTERNATIVES,
    BETWEEN,
    BOUND_NEGATORS,
    CONDITIONED,
    CONDITIONS,
    DISPLAY_WORDS,
    FACTS,
    HIDING,
    NEGATORS,
    NEVER,
    NOBODY,
    NOT_NEGATING,
    OF_NOUNS,
    ONLY,
    PLAIN_NOT,
    POTENTIAL,
    PRETENCE,
    REASONS,
    SUCH,
    UNDECIDED,
    UNREACHED,
    UNSURPASSED,
    WISHES,
)

Negation = Literal["", "dropped", "opposite"]
_REACH = {
    "negator": 5,
    "bound": 5,
    "alternative": 5,
    "nobody": 8,
    "than": 2,
    "pretence": 5,
    "unreached": 5,
    "doubt": 12,
}
"""How many tokens each kind reaches; of a verb of doubt or wishing the whole complement is not asserted."""
_LISTED = 2
"""How many more after a negated word, so that the next in a list is reached: "no anger, fear or sadness"."""
_HIDDEN_BY = 3
"""Tokens from a negator to the verb of hiding that it negates."""
_ROLES: dict[str, str] = {
    word: role
    for role, words in (
        ("coordinator", COORDINATORS),
        ("reason", REASONS),
        ("only", ONLY),
        ("fact", FACTS),
        ("hiding", HIDING),
        ("condition", CONDITIONS),
        ("than", {"than"}),
        ("potential", POTENTIAL),
        ("pretence", PRETENCE),
        ("unreached", UNREACHED),
        ("negator", NEGATORS),
        ("bound", BOUND_NEGATORS),
        ("nobody", NOBODY),
        ("alternative", ALTERNATIVES),
        ("doubt", UNDECIDED | WISHES),
        ("lift", NOT_NEGATING | TURNS),
        ("pause", PAUSES),
    )
    for word in words
}
_NEGATING = frozenset({"negator", "bound", "alternative", "nobody"})
_OPENING = _NEGATING | {"than", "pretence", "unreached", "doubt"}
_NEXT_WORDS = DISPLAY_WORDS | FEELING | BETWEEN | HIDING | INTENSIFIERS | DIMINISHERS
_LIST_ENDS = frozenset({"or", "nor", "and/or", "和", "或", "或者", "以及", "及", "与"})
_MORE = frozenset({"more", "更", "更加"})


def negation(clause: Sequence[Token]) -> list[Negation]:
    """Per token: "" when asserted, "opposite" when plainly negated ("not very happy"), else "dropped"."""
    return _Reading(clause).negations


def label_after_negation(label: str, negation_kind: Negation, lexicon: Lexicon) -> str:
    """The label of a word after negation, "" for none."""
    return lexicon.families[label].opposite if negation_kind == "opposite" else "" if negation_kind else label


class _Reading:
    """One pass over a clause. At most one word at a time (`cause`, of `kind`, at `since`) denies what follows it."""

    def __init__(self, clause: Sequence[Token]) -> None:
        self.clause = clause
        self.negations: list[Negation] = [""] * len(clause)
        self.list_ends: list[str] | None = None
        self._lift()
        conditional = less = False
        for index, token in enumerate(clause):
            role = _ROLES.get(token.text, "")
            conditional = conditional or role == "condition"
            less = less or token.text == "less"
            if role in _OPENING:
                self._open(role, index, less)
            elif role == "potential":
                self._open_potential(index)
            elif self.reach and not self._closes(role, index):
                self._deny(index, token)
        if conditional:
            self._unreal()

    def _lift(self) -> None:
        self.reach, self.kind, self.cause, self.start, self.plain, self.spent = 0, "", "", 0, False, False

    def _open(self, role: str, index: int, less: bool) -> None:
        word = self.clause[index].text
        negating = role in _NEGATING
        if role == "bound" and not self._reaches_next(index):
            return
        if self.reach and negating and self.kind == "doubt":
            return
        if self.reach and word == "less" and self.cause in UNSURPASSED:
            return
        cancels = self.reach and not self.spent and (self.kind in _NEGATING or self.kind == "pretence")
        if (negating and role != "alternative" and cancels) or (role == "than" and less):
            self._lift()
            return
        self.reach, self.kind, self.cause, self.start = _REACH[role], role, word, index
        self.plain, self.spent = word in PLAIN_NOT, False

    def _reaches_next(self, index: int) -> bool:
        """An emotion word, a degree or a verb of feeling stands right behind: 不高兴, 不太高兴, but not 不同的快乐."""
        if index + 1 == len(self.clause):
            return False
        after = self.clause[index + 1]
        return bool(after.label) or after.text in _NEXT_WORDS

    def _open_potential(self, index: int) -> None:
        """V不C: 压抑不住 means a feeling is not suppressed, 高兴不起来 that there is no joy."""
        if index and self.clause[index - 1].label:
            self.negations[index - 1] = "opposite" if self.clause[index].text == "不起来" else "dropped"

    def _closes(self, role: str, index: int) -> bool:
        """Whether what was opened ends at this token."""
        negating = self.kind in _NEGATING
        if role == "pause":
            ends = self.kind != "doubt" and not self._list_goes_on(index)
        elif role == "hiding":
            ends = negating and index - self.start <= _HIDDEN_BY
            self.negations[index] = "dropped" if ends and self.clause[index].label else ""
        elif role == "reason":
            ends = negating and index - self.start > 1
        elif self.cause in NEVER and self.clause[index].text in SUCH:
            ends = True
        else:
            ends = role == "lift" or (role == "fact" and negating) or (role == "only" and self.spent)
            self.spent = self.spent or role == "coordinator"
        if ends:
            self._lift()
        return ends or role == "pause"

    def _deny(self, index: int, token: Token) -> None:
        if not token.label:
            self.reach, self.plain = self.reach - 1, self.plain and token.text in BETWEEN
        elif self.cause in UNSURPASSED and self._comparative(index):
            self._lift()
        else:
            if not (self.kind == "unreached" and token.sign):
                self.negations[index] = "opposite" if self.plain else "dropped"
            self.reach = self.reach - 1 if self.kind == "doubt" else _LISTED
            self.plain, self.spent = False, True

    def _comparative(self, index: int) -> bool:
        """ "happier", "more disappointed": the form itself is no word of the lexicon, as "bitter" is."""
        text = self.clause[index].text
        return self.clause[index - 1].text in _MORE or (text.endswith("er") and text not in lexicon().words)

    def _list_goes_on(self, pause: int) -> bool:
        """A negation goes on behind a pause when a coordinator ends the list: "no anger, fear or sadness"."""
        if not self.clause[pause - 1].label:
            return False
        if self.list_ends is None:
            self.list_ends = _list_ends(self.clause)
        end = self.list_ends[pause]
        return end in _LIST_ENDS or (end == "and" and self.cause in OF_NOUNS)

    def _unreal(self) -> None:
        """ "If he were angry, he would shout": nothing is so from the earlier of both words on."""
        marks = [
            index for index, token in enumerate(self.clause) if token.text in CONDITIONS or token.text in CONDITIONED
        ]
        if any(self.clause[index].text in CONDITIONED for index in marks):
            for index in range(marks[0], len(self.clause)):
                self.negations[index] = "dropped"


def _list_ends(clause: Sequence[Token]) -> list[str]:
    """Per pause: the coordinator that ends the list of emotion words behind it, "" without one."""
    ends = [""] * (len(clause) + 3)
    for index in range(len(clause) - 2, -1, -1):
        if clause[index].text not in PAUSES:
            continue
        after = clause[index + 1]
        if after.text in COORDINATORS:
            ends[index] = after.text
        elif after.label and index + 2 < len(clause):
            text = clause[index + 2].text
            ends[index] = ends[index + 2] if text in PAUSES else text if text in COORDINATORS else ""
    return ends
