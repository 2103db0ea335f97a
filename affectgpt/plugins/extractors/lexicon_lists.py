"""Answers that are a list of labels: "[happy, sad]", "Emotion: joy, happiness.", "1. anger", one word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from affectgpt.lexicon.families import simplified
from affectgpt.lexicon.tokens import LexiconTokenizer
from affectgpt.plugins.extractors.lexicon_grammar import DIMINISHERS, INTENSIFIERS
from affectgpt.plugins.extractors.lexicon_negators import ALTERNATIVES, BETWEEN, BOUND_NEGATORS, NEGATORS
from affectgpt.plugins.extractors.lexicon_scope import Negation, label_after_negation, negation

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
"""Words that an item may hold next to its emotion word."""
_LONGEST_HEAD = 60
_LONGEST_ITEM = 60


def parse_label_list(text: str, finder: LexiconTokenizer) -> list[str] | None:
    """The labels of `text` when it is a list, or of the lists in it that a heading announces; None without one."""
    if (labels := _items(text, finder)) is not None:
        return labels
    announced = [label for part in _announced(text) for label in _items(part, finder) or ()]
    return list(dict.fromkeys(announced)) or None


def _items(text: str, finder: LexiconTokenizer) -> list[str] | None:
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
        label, negation_kind = item
        negated = negated or bool(negation_kind)
        if remaining := label_after_negation(label, negation_kind, finder.table):
            labels[remaining] = None
    # "no anger and fear" negates both: that is prose, where "not angry, calm" is two items
    if negated and _JOINING.search(text):
        return None
    return list(labels) or None


def _item(piece: str, finder: LexiconTokenizer) -> tuple[str, Negation] | None:
    """The label of an item that is one emotion word, perhaps with "very" or "not", and its negation; None otherwise."""
    if len(piece) > _LONGEST_ITEM:
        return None
    tokens = finder.tokens(_NUMBER.sub("", piece, count=1))
    named = [index for index, token in enumerate(tokens) if token.label or token.text not in _AROUND]
    if len(named) != 1 or not tokens[named[0]].label or tokens[named[0]].sign:
        return None
    return tokens[named[0]].label, negation(tokens)[named[0]]


def _announced(text: str) -> Iterator[str]:
    """What follows a heading and its colon, to the end of the sentence or line."""
    for line in _LINE.split(text):
        colon = _COLON.search(line[: _LONGEST_HEAD + 1])
        if colon and is_heading(line[: colon.start()].strip(_WRAPPING).lower()):
            yield line[colon.end() :]


def is_heading(head: str) -> bool:
    """Lower-case words that announce labels: "emotion", "final answer", "predicted_emotions"."""
    words = simplified(head).replace("_", " ").split()
    return bool(words) and all(word in _HEADS or word.isdigit() for word in words) and not words[0].isdigit()
