"""Answers that are a checklist, which says of each emotion whether it is there: "anger: no, joy: yes". No torch.

As a sentence, a list, a table, a list of tasks or JSON: "Anger: no. Joy: yes.", "anger=0; joy=1", "| anger | ✗ |",
"- [x] joy", '{"anger": false}', "愤怒：否，快乐：是", or a row of names over a row of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from affectgpt.core.contracts import SENTIMENTS
from affectgpt.plugins.extractors.checklist_values import (
    CROSSES,
    TICKS,
    VALUE,
    is_plain,
    plain_characters,
    read_value,
    share_of,
)

_DRESS = r"[ \t*_`\"'“”‘’]{0,8}"
# A value ends the item: "anger: no one listens" has none, and neither has "anger: 0-3".
_REASON = "because|since|as|although|though|while|given|due to|and|but"
_ITEM_END = (
    rf"(?=[ \t]{{0,8}}(?:\Z|[\n;|&。；、!！)）\]}}(（\[【/]|，|[.,](?!\d)| (?:{_REASON})\b|和|因为|[{TICKS}{CROSSES}])"
    rf"|(?<=[^\W\d]) [-–—] |(?<=[{TICKS}{CROSSES}]) |[ \t]{{1,4}}[^\W\d_]\w{{0,24}}[:=：](?:[^\s]| (?:yes|no|\d)\b)"
    r"|(?<=[\d%])[ \t][^\W\d_]\w{2,24}[ \t]\d)"
)
_JOINT = r"[:：=|\t]{1,2}+>?|[-=]>|→|[?？]|[-–—]{1,2}(?=[ \t])|[】\]]|\.{2,40}+|…{1,20}+|(?=[(（\[{])"
_REST = rf"{_DRESS}+(?:- )?(?P<bracket>[(（\[{{])?{VALUE}\ufe0f?[)）\]}}]?{_DRESS}{_ITEM_END}"
_VALUED = re.compile(rf"(?P<joint>{_JOINT}){_REST}", re.IGNORECASE)
_VALUED_OR_BARE = re.compile(rf"(?P<joint>{_JOINT}|(?<=[ \t])){_REST}", re.IGNORECASE)
_SHORT = 300
"""Characters of a text in which a name and its value may stand side by side: "anger no, joy yes"."""
_LONGEST_NAME = 48
_BEFORE_NAME = re.compile(r"[\n.,;:|&，。；：、!！?？(（\[{)）\]}【】=<>→]")
_NAME = re.compile(r"(?:(?:and|but)[ \t]|和)?(?P<name>[^\W\d_][^\"“”]*)", re.IGNORECASE)
_NAME_DRESS = " \t-*•+_`\"'“”‘’"
_TICKED = re.compile(
    r"(?:^|(?<=[,;，；|]))[ \t]{0,8}(?:[-*•+][ \t])?"
    rf"(?:(?P<present>\[[xX✓✔]\]|[{TICKS}])|(?P<absent>\[ ?\]|[{CROSSES}]))\ufe0f?{_DRESS}"
    r"(?P<name>[^\W\d_][^\n.,;:|，。；：]{0,48}?)"
    rf"{_DRESS}(?=[.,;|，。；]|$)",
    re.MULTILINE,
)
_LINE = re.compile(r"[^\n]+")
_RULE = re.compile(r"[-|: \t+]+")
_CELL = re.compile(r"[^|,\t]+")
_DRESSING = " *_`\"'“”‘’\ufe0f"


@dataclass(frozen=True)
class ListedItem:
    """One item of a checklist, `text[start:end]`: a name and its value (of a column, the name alone).

    `share` is 0 for what is absent, 1 for what is there, or its score as written, as a fraction where it has a scale
    ("7/10" is 0.7). `plain` says that the value is a yes or no (also 1 or 0), no degree and no score. `bare` says that
    nothing but a blank stands between name and value.
    """

    name: str
    share: float
    plain: bool
    bare: bool
    start: int
    end: int


def checklist_items(text: str) -> list[ListedItem]:
    """Whatever in `text` could be an item of a checklist, in order: any short name with such a value."""
    text = plain_characters(text)
    items = (*_valued(text), *_ticked(text), *_columns(text))
    return sorted(
        (item for item in items if item.name.lower() in SENTIMENTS or read_value(item.name) is None),
        key=lambda item: item.start,
    )


def _valued(text: str) -> Iterator[ListedItem]:
    """Values that end a clause, with the name that stands before them up to the last mark."""
    previous_end = 0
    for match in (_VALUED_OR_BARE if len(text) <= _SHORT else _VALUED).finditer(text):
        window = text[max(previous_end, match.start() - _LONGEST_NAME - 8) : match.start()]
        before = list(_BEFORE_NAME.finditer(window))
        piece = window[before[-1].end() :] if before else window
        named = _NAME.fullmatch(piece.strip(_NAME_DRESS))
        # "anger (negative)" is the side of a feeling.
        is_side = match["bracket"] and (match["absent"] or match["present"] or "").lower() in SENTIMENTS
        if named is None or len(named["name"]) > _LONGEST_NAME or is_side:
            continue
        parts, previous_end = match.groupdict(), match.end()
        is_bare = not parts["joint"].strip() and not parts["bracket"]
        start = match.start() - len(piece)
        yield ListedItem(named["name"], share_of(parts), is_plain(parts), is_bare, start, match.end())


def _ticked(text: str) -> Iterator[ListedItem]:
    for match in _TICKED.finditer(text):
        yield ListedItem(match["name"].strip(), float(match["absent"] is None), True, False, *match.span())


def _columns(text: str) -> Iterator[ListedItem]:
    """The names in a line of cells with as many values in the line below, or below a rule."""
    lines = list(_LINE.finditer(text))
    for number, line in enumerate(lines):
        names = [cell for cell in _CELL.finditer(line[0]) if cell[0].strip()]
        below = next((later for later in lines[number + 1 : number + 3] if not _RULE.fullmatch(later[0])), None)
        if len(names) < 2 or below is None or _RULE.fullmatch(line[0]):
            continue
        values = [read_value(cell) for cell in _CELL.findall(below[0]) if cell.strip()]
        if len(values) != len(names):
            continue
        for name, value in zip(names, values, strict=True):
            if value is not None and (None not in values or read_value(name[0]) is None):
                start = line.start() + name.start()
                yield ListedItem(name[0].strip(_DRESSING), *value, False, start, start + len(name[0]))
