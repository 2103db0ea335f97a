"""Finding the words of the lexicon in a text: one pass, the longest phrase first, any script, linear time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simplemma

from affectgpt.lexicon.families import lexicon, simplified

CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(rf"[a-z0-9]+(?:['-][a-z0-9]+)*|[{CHINESE}]+|\n+|\S")
_CHINESE = re.compile(f"[{CHINESE}]")
_PLAIN = str.maketrans({"’": "'", "‑": "-", "–": "-", "—": ","})
_OPENED = re.compile(r"(?<![^\s(\[:,\"“])'(?=\S)")
_BE = frozenset(
    {
        "be",
        "am",
        "is",
        "are",
        "was",
        "were",
        "been",
        "being",
        "he's",
        "she's",
        "they're",
        "i'm",
        "isn't",
        "aren't",
        "wasn't",
        "weren't",
        "seem",
        "seems",
        "seemed",
        "seeming",
        "look",
        "looks",
        "looked",
        "looking",
        "feel",
        "feels",
        "felt",
        "feeling",
        "appear",
        "appears",
        "appeared",
        "sound",
        "sounds",
        "sounded",
    }
)
_ADVERBS = frozenset(
    {
        "very",
        "so",
        "quite",
        "really",
        "too",
        "rather",
        "extremely",
        "truly",
        "deeply",
        "always",
        "also",
        "both",
        "more",
        "not",
        "never",
        "and",
        ",",
        "or",
        "somewhat",
        "genuinely",
        "clearly",
        "obviously",
        "a bit",
        "a little",
    }
)
_NEAR = 6
"""Tokens: how far behind a form of be an adjective stands."""
_LONGEST = 32
"""Characters: no listed word is longer, so a longer one is not looked up."""
_CACHE_SIZE = 65536
"""Words of the texts read so far that are kept with what they mean."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word, phrase or punctuation mark, in lower case.

    `label` is the family when it names one; `sign` is True when it only points at it.
    """

    text: str
    label: str = ""
    sign: bool = False


class LexiconTokenizer:
    """Splits texts into [Token][]s: the lexicon's words and phrases as one token each, so also those in `grammar`."""

    def __init__(self, grammar: Iterable[str] = ()) -> None:
        self.table = table = lexicon()
        self.meaning: dict[str, Token] = {word: Token(word) for word in table.traps}
        self.meaning.update({word: Token(word) for word in grammar})
        self.meaning.update({word: Token(word, label, True) for word, label in table.signs.items()})
        self.meaning.update({word: Token(word, label) for word, label in table.words.items()})
        self.after_be = {word: Token(word, f.label) for f in table.families.values() for word in f.after_be}
        self._inflected: dict[str, Token] = {}
        self.phrases: dict[str, Any] = {}
        self.longest: dict[str, int] = {}
        for word in self.meaning:
            if _CHINESE.match(word):
                self.longest[word[0]] = max(self.longest.get(word[0], 1), len(word))
            else:
                _plant(self.phrases, word.split())

    def tokens(self, text: str) -> list[Token]:
        """The tokens of `text` in order. Blanks are dropped; line ends in a row are one token.

        Traditional Chinese characters become simplified ones.
        A single quotation mark in front of a word is "‘", one behind a word "'"; those inside of words stay there.
        """
        pieces = _TOKEN.findall(_OPENED.sub("‘", simplified(text.lower()).translate(_PLAIN)))
        tokens: list[Token] = []
        position = 0
        while position < len(pieces):
            piece = pieces[position]
            if _CHINESE.match(piece):
                tokens.extend(self._chinese(piece))
                position += 1
                continue
            size = _longest_phrase(self.phrases, pieces, position)
            if size > 1:
                tokens.append(self.meaning[" ".join(pieces[position : position + size])])
            else:
                tokens.append(
                    self.after_be[piece] if piece in self.after_be and _after_be(tokens) else self._word(piece)
                )
            position += size
        return tokens

    def _word(self, text: str) -> Token:
        token = self.meaning.get(text) or self._inflected.get(text)
        if token is None:
            base = self.meaning.get(lemma(text)) if text[0].isalpha() else None
            token = Token(text, base.label, base.sign) if base is not None else Token(text)
            if len(self._inflected) < _CACHE_SIZE:
                self._inflected[text] = token
        return token

    def _chinese(self, run: str) -> Iterable[Token]:
        position = 0
        while position < len(run):
            size = min(self.longest.get(run[position], 1), len(run) - position)
            while size > 1 and run[position : position + size] not in self.meaning:
                size -= 1
            word = run[position : position + size]
            yield self.meaning.get(word) or Token(word)
            position += size


def _after_be(before: Sequence[Token]) -> bool:
    """A form of be, seem, look or feel stands before the next word, with nothing between but adverbs and a list."""
    for token in before[: -_NEAR - 1 : -1]:
        if token.text in _BE:
            return True
        if not token.label and token.text not in _ADVERBS:
            return False
    return False


def _plant(tree: dict[str, Any], words: list[str]) -> None:
    if len(words) < 2:
        return
    for word in words:
        tree = tree.setdefault(word, {})
    tree[""] = True


def _longest_phrase(tree: Mapping[str, Any], pieces: list[str], start: int) -> int:
    best, depth = 1, 0
    while start + depth < len(pieces):
        tree = tree.get(pieces[start + depth], {})
        if not tree:
            break
        depth += 1
        if "" in tree:
            best = depth
    return best


def lemma(word: str) -> str:
    """The English base form of a lower-case word ("worries" -> "worry"); the word itself when it is unknown."""
    return str(simplemma.lemmatize(word, lang="en")).lower() if len(word) <= _LONGEST else word
