"""Answers that are a checklist, which says of each emotion whether it is there: "anger: no, joy: yes". No torch.

As a sentence, a list, a table, a list of tasks or JSON: "Anger: no. Joy: yes.", "anger=0; joy=1", "| anger | ✗ |",
"- [x] joy", '{"anger": false}', "愤怒：否，快乐：是".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from affectgpt.lexicon.families import simplified

_ABSENT = (
    "not present, not detected, not found, not observed, not shown, not evident, not applicable, not at all, none, "
    "nope, not, no, nil, null, absent, false, undetected, missing, unlikely, zero, n/a, n, f, ✗, ✘, ×, ❌, ☐, 不存在, "
    "未出现, 未检测到, 未检出, 没有, 不是, 错误, 否, 无, 不, 没, 未, 假"
)
_PRESENT = (
    "yes, yep, yeah, true, present, detected, observed, shown, evident, y, t, ✓, ✔, ✅, ☑, √, 存在, 是, 有, 真, 对"
)
_DEGREE = (
    "low, mild, weak, slight, faint, some, medium, moderate, high, strong, intense, extreme, possible, possibly, "
    "probable, probably, likely, maybe, perhaps, partly, partial, 轻微, 中等, 强烈, 可能, 低, 中, 高, 弱, 强"
)


def _words(listed: str) -> str:
    return "|".join(re.escape(word.strip()) for word in listed.split(","))


_NUMBER = r"(?P<number>\d{1,4}(?:\.\d{1,6})?)(?P<scale> ?%| ?/ ?\d{1,4}| out of \d{1,4})?"
_VALUE = rf"(?:(?P<absent>{_words(_ABSENT)})|(?P<present>{_words(_PRESENT)})|(?P<degree>{_words(_DEGREE)})|{_NUMBER})"
_TICKS, _CROSSES = "✓✔✅☑√", "✗✘×❌☐"
_WHOLE_VALUE = re.compile(_VALUE, re.IGNORECASE)
_DRESS = r"[ \t*_`\"'“”‘’]{0,8}"
# A value ends the item: "anger: no one listens" has none, and neither has "anger: 0-3".
_ITEM_END = (
    r"(?=[ \t]{0,8}(?:\Z|[\n;|。；、!！)）\]}(（/]|，|[.,](?!\d)| and\b| but\b|和)|(?<=[^\W\d]) [-–—] "
    rf"|(?<=[{_TICKS}{_CROSSES}]) )"
)
_BEGIN = r"(?:^|(?<=[\n.,;:|，。；：、!！?？(（\[{)）\]}])|(?<=\band )|(?<=[✓✔✅☑√✗✘×❌☐] ))"
_BULLET = r"[ \t]{0,8}(?:[-*•+][ \t]|\d{1,3}[.)、])?"
_NAME = r"(?P<name>[^\W\d_](?:[^\n.,;:=|，。；：、?？!！()（）\[\]{}<>→\"“”]){0,48}?)"
_JOINT = r"(?P<joint>[:：=|\t]{1,2}>?|[-=]>|→|[?？]|[-–—]{1,2}(?=[ \t])|(?=[(（\[])|(?<=[ \t])|(?<=[?？] ))"
_ITEM = re.compile(
    rf"{_BEGIN}{_BULLET}{_DRESS}{_NAME}{_DRESS}{_JOINT}{_DRESS}[(（\[]?{_VALUE}[)）\]]?{_DRESS}{_ITEM_END}",
    re.IGNORECASE | re.MULTILINE,
)
_TICKED = re.compile(
    r"(?:^|(?<=[,;，；|]))[ \t]{0,8}(?:[-*•+][ \t])?"
    rf"(?:(?P<present>\[[xX✓✔]\]|[{_TICKS}])|(?P<absent>\[ ?\]|[{_CROSSES}])){_DRESS}"
    r"(?P<name>[^\W\d_][^\n.,;:|，。；：]{0,48}?)"
    rf"{_DRESS}(?=[.,;|，。；]|$)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class ListedItem:
    """One item of a checklist, `text[start:end]`: a name and its value.

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


def checklist_items(text: str) -> Iterator[ListedItem]:
    """Whatever in `text` could be an item of a checklist, in order: any short name with such a value."""
    text = simplified(text)
    for match in sorted((*_ITEM.finditer(text), *_TICKED.finditer(text)), key=re.Match.start):
        parts = match.groupdict()
        share = _share(parts)
        joint = parts.get("joint", ":")
        plain = not parts.get("degree") and not parts.get("scale") and share in (0.0, 1.0)
        yield ListedItem(match["name"].strip(), share, plain, not joint.strip(), match.start(), match.end())


def says_absent(value: str) -> bool:
    """Whether `value` is one that says that something is not there: "no", "0", "False", "无"."""
    match = _WHOLE_VALUE.fullmatch(simplified(value).strip())
    return match is not None and _share(match.groupdict()) == 0.0


def _share(parts: dict[str, str | None]) -> float:
    number = parts.get("number")
    if number is None:
        return 0.0 if parts["absent"] else 1.0
    scale = (parts["scale"] or "").replace("out of", "").strip(" /")
    whole = 100.0 if scale == "%" else float(scale or 1)
    return float(number) / whole if whole else 0.0
