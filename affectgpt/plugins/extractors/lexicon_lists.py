"""Answers that are a list of labels: "[happy, sad]", "Emotion: joy, happiness.", "1. anger", one word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from affectgpt.lexicon.tokens import Finder
from affectgpt.plugins.extractors.lexicon_grammar import DIMINISHERS, INTENSIFIERS
from affectgpt.plugins.extractors.lexicon_negators import ALTERNATIVES, BETWEEN, BOUND_NEGATORS, NEGATORS
from affectgpt.plugins.extractors.lexicon_scope import Fate, denied, says

_SEPARATOR = re.compile(r"[,;|/&\n、，；和]+|\band\b", re.IGNORECASE)
_JOINING = re.compile(r"[、和]|\band\b", re.IGNORECASE)
_LINE = re.compile(r"[\n.。!！?？]+")
_COLON = re.compile("[:：]")
_WRAPPING = " \t\r*_#`'\"“”‘’[](){}<>-•·.。!！"
_NUMBER = re.compile(r"\d{1,3}\s*[.)、:]\s*")
_HEADS = frozenset(
    {
        "emotion",
        "emotions",
        "emotional",
        "label",
        "labels",
        "state",
        "states",
        "word",
        "words",
        "tag",
        "tags",
        "feeling",
        "feelings",
        "the",
        "final",
        "answer",
        "predicted",
        "recognized",
        "primary",
        "main",
        "output",
        "result",
        "overall",
        "category",
        "categories",
        "character's",
        "person's",
        "sentiment",
        "sentiments",
        "mood",
        "detected",
        "identified",
        "dominant",
        "secondary",
        "top",
        "list",
        "心情",
        "情绪",
        "情感",
        "标签",
        "情绪标签",
        "情感标签",
        "情绪状态",
        "情感状态",
        "情绪词",
        "答案",
        "最终答案",
        "输出",
    }
)
_AROUND = INTENSIFIERS | DIMINISHERS | NEGATORS | BOUND_NEGATORS | ALTERNATIVES | BETWEEN
"""What may stand in an item beside its emotion word."""
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
    negated = False
    for separator in (*_SEPARATOR.finditer(text), None):
        piece = text[start : separator.start() if separator else len(text)].strip(_WRAPPING)
        start = separator.end() if separator else 0
        if not piece:
            continue
        item = _item(piece, finder)
        if item is None:
            return None
        label, fate = item
        negated = negated or bool(fate)
        if said := says(label, fate, finder.table):
            labels[said] = None
    # "no anger and fear" negates both: that is prose, where "not angry, calm" is two items
    if negated and _JOINING.search(text):
        return None
    return list(labels) or None


def _item(piece: str, finder: Finder) -> tuple[str, Fate] | None:
    """The label of an item that is one emotion word, perhaps with "very" or "not", and its fate; None for all else."""
    if len(piece) > _LONGEST_ITEM:
        return None
    tokens = finder.tokens(_NUMBER.sub("", piece, count=1))
    named = [at for at, token in enumerate(tokens) if token.label or token.text not in _AROUND]
    if len(named) != 1 or not tokens[named[0]].label or tokens[named[0]].sign:
        return None
    return tokens[named[0]].label, denied(tokens)[named[0]]


def _announced(text: str) -> Iterator[str]:
    """What follows a heading and its colon, to the end of the sentence or line."""
    for line in _LINE.split(text):
        colon = _COLON.search(line[: _LONGEST_HEAD + 1])
        if colon and is_heading(line[: colon.start()].strip(_WRAPPING).lower()):
            yield line[colon.end() :]


def is_heading(head: str) -> bool:
    """Lower-case words that announce labels: "emotion", "final answer", "predicted_emotions"."""
    words = head.replace("_", " ").split()
    return bool(words) and all(word in _HEADS or word.isdigit() for word in words) and not words[0].isdigit()
