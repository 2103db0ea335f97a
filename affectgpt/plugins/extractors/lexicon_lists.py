"""Answers that are a list of labels: "[happy, sad]", "Emotion: joy, happiness.", "1. anger", one word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from affectgpt.lexicon.finding import Finder
from affectgpt.plugins.extractors.lexicon_grammar import DIMINISHERS, INTENSIFIERS

_SEPARATOR = re.compile(r"[,;|/&\n、，；和]+|\band\b", re.IGNORECASE)
_LINE = re.compile(r"[\n.。!！?？]+")
_COLON = re.compile("[:：]")
_WRAPPING = " \t\r*_#`'\"“”‘’[](){}<>-•·.。!！"
_NUMBER = re.compile(r"\d{1,3}\s*[.)、:]\s*")
_HEADS = frozenset({
    "emotion", "emotions", "emotional", "label", "labels", "state", "states", "word", "words", "tag", "tags", "feeling",
    "feelings", "the", "final", "answer", "predicted", "recognized", "primary", "main", "output", "result", "overall",
    "category", "categories", "character's", "person's",
    "情绪", "情感", "标签", "情绪标签", "情感标签", "情绪状态", "情感状态", "情绪词", "答案", "最终答案", "输出",
})  # fmt: skip
_DEGREES = INTENSIFIERS | DIMINISHERS
_LONGEST_HEAD = 60
_LONGEST_ITEM = 60


def listed(text: str, finder: Finder) -> list[str] | None:
    """The labels of `text` when it is a list, or of the lists in it that a heading announces; None without one."""
    if (whole := _items(text, finder)) is not None:
        return whole
    announced = [label for part in _announced(text) for label in _items(part, finder) or ()]
    return list(dict.fromkeys(announced)) or None


def _items(text: str, finder: Finder) -> list[str] | None:
    labels: dict[str, None] = {}
    start = 0
    for separator in (*_SEPARATOR.finditer(text), None):
        piece = text[start : separator.start() if separator else len(text)].strip(_WRAPPING)
        start = separator.end() if separator else 0
        label = _label(piece, finder) if piece else ""
        if label is None:
            return None
        if label:
            labels[label] = None
    return list(labels) or None


def _label(piece: str, finder: Finder) -> str | None:
    """The label of an item that is one emotion word, with or without "very"; None for anything else."""
    if len(piece) > _LONGEST_ITEM:
        return None
    piece = _NUMBER.sub("", piece, count=1)
    tokens = [token for token in finder.tokens(piece) if token.text not in _DEGREES]
    one = len(tokens) == 1 and bool(tokens[0].label) and not tokens[0].sign
    return tokens[0].label if one else None


def _announced(text: str) -> Iterator[str]:
    """What follows a heading and its colon, to the end of the sentence or line."""
    for line in _LINE.split(text):
        colon = _COLON.search(line[: _LONGEST_HEAD + 1])
        if colon and _is_head(line[: colon.start()].strip(_WRAPPING).lower()):
            yield line[colon.end() :]


def _is_head(head: str) -> bool:
    words = head.split()
    return bool(words) and all(word in _HEADS for word in words)
