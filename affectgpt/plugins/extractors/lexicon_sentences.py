"""Tokens to sentences and clauses, and which words are quoted speech."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from affectgpt.lexicon.tokens import Token
from affectgpt.plugins.extractors.lexicon_grammar import (
    CONCESSIONS,
    ENDS,
    PAUSES,
    SPEECH,
    SPEECH_VERBS,
    TURNS,
)

_SINGLE = "‘"
_PAIRS = {'"': '"', "“": "”", _SINGLE: "'", "「": "」", "『": "』", "《": "》", "«": "»"}
_FEW = 4
"""Tokens: a quotation of no more, outside of speech, names a word (the emotion "joy") and is read."""
_SAID_WITHIN = 3
"""Tokens behind a quotation in which a verb of speech makes it speech: "...", the man whispers."""


def sentences(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Sentences, each with its end mark. Quoted speech is left out: see [_names_a_word][].

    A quotation that never closes is no quotation. One that ends with an end mark ends the sentence around it.
    """
    closing = _closings(tokens)
    sentence: list[Token] = []
    speech = False
    position = 0
    while position < len(tokens):
        token = tokens[position]
        end = closing.get(position)
        if end is not None:
            ended = tokens[end - 1].text in ENDS
            if not speech and _names_a_word(tokens, position, end):
                sentence.extend(t for t in tokens[position + 1 : end] if t.text not in ENDS)
        else:
            ended = token.text in ENDS or token.text[0] == "\n"
            speech = speech or token.text in SPEECH
            if sentence or not ended:
                sentence.append(token)
        position = position + 1 if end is None else end + 1
        if ended and sentence:
            yield sentence
            sentence = []
        speech = speech and not ended
    if sentence:
        yield sentence


def _names_a_word(tokens: Sequence[Token], opening: int, closing: int) -> bool:
    """A short quotation is a word that is mentioned, unless it is a sentence or a verb of speech follows it."""
    size = closing - opening - 1
    if size > _FEW or any(token.text in SPEECH_VERBS for token in tokens[closing + 1 : closing + 1 + _SAID_WITHIN]):
        return False
    if tokens[closing - 1].text not in ENDS:
        return True
    # "The emotion is "joy."": the full stop is that of the sentence around it
    return size == 2 and tokens[closing - 1].text in {".", "。"}


def _closings(tokens: Sequence[Token]) -> dict[int, int]:
    """Opening mark -> its closing mark, by position. A quotation does not go over a blank line."""
    closing: dict[int, int] = {}
    opened, closing_mark = -1, ""
    for index, token in enumerate(tokens):
        mark = token.text
        if opened >= 0 and mark == closing_mark:
            closing[opened] = index
            opened = -1
        elif mark in _PAIRS and (opened < 0 or (closing_mark == _PAIRS[_SINGLE] and mark != _SINGLE)):
            opened, closing_mark = index, _PAIRS[mark]
        elif mark.startswith("\n\n"):
            opened = -1
    return closing


def clauses(sentence: Sequence[Token]) -> Iterator[list[Token]]:
    """The sentence cut before words of contrast ("but", 然而) and around concessions ("although ...,", 虽然……，)."""
    clause: list[Token] = []
    for token in sentence:
        if clause and (token.text in TURNS or token.text in CONCESSIONS):
            yield clause
            clause = []
        clause.append(token)
        if token.text in PAUSES and clause[0].text in CONCESSIONS:
            yield clause
            clause = []
    if clause:
        yield clause
