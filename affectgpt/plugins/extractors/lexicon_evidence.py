"""How much each emotion word of a text counts: where it stands, what it is said of, how strongly it is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from affectgpt.lexicon.families import Lexicon
from affectgpt.lexicon.tokens import Token
from affectgpt.plugins.extractors.lexicon_grammar import (
    CONCESSIONS,
    CONCLUDING,
    COORDINATORS,
    DIMINISHERS,
    EVIDENCE,
    GENERIC,
    INTENSIFIERS,
    OPENING,
    SITUATIONS,
    TURNS,
)
from affectgpt.plugins.extractors.lexicon_others import about_others
from affectgpt.plugins.extractors.lexicon_scope import label_after_negation, negation
from affectgpt.plugins.extractors.lexicon_sentences import clauses, sentences

_CONCLUSION = 3.0
_CITED = 0.75
"""Weight of a clue repeated after "Based on ..."; a clue itself counts 1."""
_SIGN = 0.4
_SITUATION = 0.3
_CONCEDED = 0.3
_GENERIC = 0.5
_OPENING = 0.7
_KIND = {"emotion": 1.0, "attitude": 0.7, "tone": 0.5, "state": 0.5}
_INTENSE, _FAINT = 1.2, 0.8
_REPEATED = 0.5
"""Share of its weight that each further mention of a family adds."""
_HEADING = 5
"""Tokens of a heading and its colon."""
_AHEAD = 4
"""Tokens between an adjective and the noun that it stands before."""


def evidence(tokens: Sequence[Token], lexicon: Lexicon, *, signs: bool = True) -> dict[str, float]:
    """Label -> its evidence in the text, in the order of first mention. Above 0; a plain mention counts 1."""
    best: dict[str, float] = {}
    total: dict[str, float] = {}
    for sentence in sentences(tokens):
        if sentence[-1].text in {"?", "？"}:
            continue
        for label, weight in _sentence_evidence(sentence, lexicon, signs):
            best[label] = max(best.get(label, 0.0), weight)
            total[label] = total.get(label, 0.0) + weight
    return {label: _REPEATED * total[label] + (1 - _REPEATED) * top for label, top in best.items()}


def _sentence_evidence(sentence: Sequence[Token], lexicon: Lexicon, signs: bool) -> Iterator[tuple[str, float]]:
    position_weight = _CITED if any(token.text in EVIDENCE for token in sentence[:3]) else 1.0
    opening = _OPENING if any(token.text in OPENING for token in sentence) else 1.0
    denied = _denied_heading(sentence)
    parts = list(clauses(sentence))
    for number, clause in enumerate(parts):
        outweighed = clause[0].text in CONCESSIONS or (number + 1 < len(parts) and parts[number + 1][0].text in TURNS)
        conceded = _CONCEDED if outweighed else 1.0
        generic = 1.0
        negations, about_other = negation(clause), about_others(clause)
        for index, token in enumerate(clause):
            if token.text in CONCLUDING:
                position_weight = _CONCLUSION
            if token.text in GENERIC:
                generic = _GENERIC
            if not token.label or token is denied or about_other[index] or (token.sign and not signs):
                continue
            if label := label_after_negation(token.label, negations[index], lexicon):
                manner = _manner(clause, index) * _KIND[lexicon.families[label].kind]
                yield label, position_weight * opening * conceded * generic * manner


def _denied_heading(sentence: Sequence[Token]) -> Token | None:
    """The emotion word of a heading whose text denies it, as in "Anger: there is no anger in her voice"."""
    colon = next((index for index, token in enumerate(sentence[:_HEADING]) if token.text in {":", "："}), 0)
    heading = next((token for token in sentence[:colon] if token.label), None)
    if heading is None:
        return None
    mentions = [
        bool(negated)
        for clause in clauses(sentence[colon + 1 :])
        for token, negated in zip(clause, negation(clause), strict=True)
        if token.label == heading.label
    ]
    return heading if mentions and all(mentions) else None


def _manner(clause: Sequence[Token], index: int) -> float:
    """A sign or a word, intense or faint, of the person or of the situation ("a tense conversation")."""
    weight = _SIGN if clause[index].sign else 1.0
    before = {token.text for token in clause[max(0, index - 3) : index]}
    if before & INTENSIFIERS:
        weight *= _INTENSE
    if before & DIMINISHERS:
        weight *= _FAINT
    for token in clause[index + 1 : index + 1 + _AHEAD]:
        if token.text in SITUATIONS:
            return weight * _SITUATION
        if not token.label and token.text not in COORDINATORS and token.text != "的":
            break
    return weight
