"""Checklists in tags, tables, records and groups, brought to one notation: a line of `name: value` each.

No torch. `<anger>0</anger>`, CSV with a header, a table with a column "Present", `emotion: anger, present: no`, YAML,
pairs (`("anger", 0)`), a heading above its value, and names behind what is said of them all: "Absent: anger, fear".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from affectgpt.plugins.extractors.checklist_values import CROSSES, TICKS, VALUE, plain_characters, read_value
from affectgpt.plugins.extractors.lexicon_grammar import closed_class

IsName = Callable[[str], bool]
VERDICTS = closed_class(
    "present, presence, detected, exists, value, score, answer, intensity, status, verdict, probability, level, label, "
    "visible, shown, 存在, 是否存在, 有无, 得分, 分数, 强度, 判断, 结果, 检测到"
)
"""The names of fields and columns that say whether, or how far, an emotion is there."""
_NAME_FIELDS = "emotion|emotion[ _]name|name|label|feeling|category|class|情绪|情感|类别|名称"
_VERDICT = rf"(?:is[ _]|was[ _])?(?:{'|'.join(sorted(VERDICTS, key=len, reverse=True))})"
_SHORT = r"[^\n,;|:=<>\"'\[\](){}]{1,40}"
_GROUPED_VALUE = re.sub(r"\?P<\w+>", "?:", VALUE)
_ANY_VALUE = rf"[\"'*_]{{0,3}}(?P<value>{_GROUPED_VALUE})\ufe0f?[\"'*_]{{0,3}}"
_ENDS = r"(?=[ \t]*(?:[\n,;|.，；。)}\]]|\Z))"

_ELEMENT = re.compile(
    r"<\s{0,4}(?P<tag>[^\W\d_][\w-]{0,40})(?P<attributes>\s[^<>]{0,200})?>"
    rf"\s{{0,9}}{_ANY_VALUE}\s{{0,9}}</\s{{0,4}}(?P=tag)\s{{0,4}}>",
    re.IGNORECASE,
)
_EMPTY_ELEMENT = re.compile(r"<\s{0,4}(?P<tag>[^\W\d_][\w-]{0,40})(?P<attributes>\s[^<>]{1,200}?)/?>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w-]{1,40})\s{0,4}=\s{0,4}[\"']([^\"'<>]{0,80})[\"']")
_PAIR = re.compile(
    rf"[(\[]\s{{0,4}}[\"']?(?P<name>{_SHORT}?)[\"']?\s{{0,4}},\s{{0,4}}{_ANY_VALUE}\s{{0,4}}[)\]]", re.IGNORECASE
)
_IS = r"[*_\"'?？]{0,4}[ \t]{0,9}[:=：][*_]{0,2}[ \t]{0,9}"
_BULLETED = r"(?:[-*+][ \t]{0,9})?[\"'*_]{0,3}"
_RECORD = re.compile(
    rf"(?:(?<=[\s{{(\[|,;*_-])|^)(?:{_NAME_FIELDS}){_IS}[\"'*_]{{0,3}}(?P<name>{_SHORT}?)[\"'*_]{{0,3}}"
    r"[ \t]{0,9}[,;|\n，；、](?:[ \t]{0,9}(?:[-*][ \t])?\w{1,20}[ \t]{0,9}[:=][^\n,;|]{0,200}[,;|\n]){0,2}?"
    rf"\s{{0,40}}{_BULLETED}{_VERDICT}{_IS}{_ANY_VALUE}{_ENDS}",
    re.IGNORECASE | re.MULTILINE,
)
_SECTION = re.compile(
    rf"^[ \t]{{0,40}}(?:[-*+#]{{1,6}}[ \t]{{0,9}})?[*_]{{0,3}}(?P<name>{_SHORT}?)[*_]{{0,3}}[:：][*_]{{0,3}}"
    r"[ \t]{0,9}\n(?:[ \t]{1,40}(?:[-*][ \t])?\w{1,20}[ \t]{0,9}:[^\n]{0,200}\n){0,3}?"
    rf"[ \t]{{0,40}}{_BULLETED}{_VERDICT}{_IS}{_ANY_VALUE}{_ENDS}",
    re.IGNORECASE | re.MULTILINE,
)
_HEADED = re.compile(
    rf"^[ \t]{{0,40}}(?:#{{1,6}}[ \t]{{0,9}}|(?P<bold>\*\*))?(?P<name>{_SHORT}?)(?(bold)\*\*)[ \t]{{0,9}}"
    rf"(?P<colon>[:：]?)[*_]{{0,2}}[ \t]{{0,9}}\n[ \t]{{0,40}}{_ANY_VALUE}[.。!]?[ \t]{{0,9}}$",
    re.IGNORECASE | re.MULTILINE,
)
_BOX = re.compile(rf"(?:\[[ xX✓✔]\]|\([ xX✓✔]\)|[{TICKS}{CROSSES}])\ufe0f?")
_CELL_BREAKS = ("|", "\t", ";", ",")
_GROUP = re.compile(
    r"(?:^|(?<=[.;。；|]))[ \t]{0,40}(?:[-*+#]{1,6}[ \t]{1,9})?[*_]{0,3}"
    rf"(?P<head>[^\n.;:：。；|]{{1,48}}?|[{TICKS}{CROSSES}]\ufe0f?)[*_]{{0,3}}"
    r"(?:[:：][*_]{0,3}|[ \t][-–—](?=[ \t]))(?P<names>[^\n.;。；|]{0,300})",
    re.MULTILINE,
)
_TICKED_GROUP = re.compile(
    rf"^[ \t]{{0,40}}(?P<head>[{TICKS}{CROSSES}])\ufe0f?[ \t]{{1,9}}(?P<names>[^\n.;。；|:：]{{1,300}})", re.MULTILINE
)
_HEADING_GROUP = re.compile(
    r"^[ \t]{0,40}(?:#{1,6}[ \t]{0,9}|\*\*)(?P<head>[^\n:：*#]{1,48})(?:\*\*)?[ \t]{0,9}(?P<names>)$", re.MULTILINE
)
_HEAD_WORDS = re.compile(
    r"\b(?:the|emotions?|emotional|states?|feelings?|labels?|list|of|following|are|is|were)\b|的|情绪|情感|标签|有：",
    re.IGNORECASE,
)
_BARE_HEADS = closed_class("no, not, yes, true, false, y, n, t, f, none, on, off, 没有, 有, 是, 否, 不, 无, 不是")
"""Heads that also begin a sentence ("No: he is angry"): they head a group where the text holds a yes and a no."""
_VALENCES = frozenset(("negative", "positive"))
_BETWEEN_NAMES = re.compile(r"[,，、/]|\band\b|\bor\b|\bnor\b|和|与|及|或", re.IGNORECASE)
_BULLET = re.compile(r"[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+(?P<names>[^\n]{1,120})")
_DRESS = " \t*_`\"'“”‘’.。-"
_MOST_WORDS = 2


def items_on_lines(text: str, is_name: IsName) -> str:
    """`text` with a line of `name: value` in place of each such item; `is_name` says what names an emotion.

    What `is_name` refuses stays as it is.
    """
    if len(text) < 4 or not re.search(r"[<\n:：=,;(\[|✓✔✅☑❌✗✘-]", text):
        return text
    text, is_name = plain_characters(text), cache(is_name)
    text = _with_elements(text, is_name)
    for pattern in (_PAIR, _RECORD, _SECTION):
        text = pattern.sub(lambda match: _line(match, match["name"].strip(_DRESS), is_name), text)
    text = _HEADED.sub(lambda match: _headed(match, is_name), text)
    text = "\n".join(_boxes_on_lines(line) for line in text.split("\n"))
    return _with_groups("\n".join(_with_tables(text.split("\n"), is_name)), is_name)


def _line(match: re.Match[str], name: str, is_name: IsName) -> str:
    # "[sad, negative]" is a list of two.
    is_list = match.re is _PAIR and is_name(match["value"])
    return f"\n{name}: {match['value']}\n" if name and is_name(name) and not is_list else match[0]


def _with_elements(text: str, is_name: IsName) -> str:
    if "<" not in text:
        return text

    def element(match: re.Match[str]) -> str:
        names = [match["tag"].replace("_", " "), *(value for _, value in _ATTRIBUTE.findall(match["attributes"] or ""))]
        return _line(match, next(filter(is_name, names), ""), is_name)

    def empty_element(match: re.Match[str]) -> str:
        fields = dict(_ATTRIBUTE.findall(match["attributes"]))
        name = next(filter(is_name, [match["tag"].replace("_", " "), *fields.values()]), "")
        values = [value for key, value in fields.items() if is_verdict(key) and read_value(value)]
        return f"\n{name}: {values[0]}\n" if name and values else match[0]

    return _EMPTY_ELEMENT.sub(empty_element, _ELEMENT.sub(element, text))


def is_verdict(field: str) -> bool:
    """Whether a field of this name says that something is there: "present", "is_present", "Detected?"."""
    words = field.lower().replace("_", " ").strip(" ?？*").removeprefix("is ").removeprefix("was ")
    return plain_characters(words) in VERDICTS


def _headed(match: re.Match[str], is_name: IsName) -> str:
    is_heading = match["colon"] or match["bold"] or match[0].lstrip().startswith("#")
    return _line(match, match["name"].strip(_DRESS), is_name) if is_heading else match[0]


def _boxes_on_lines(line: str) -> str:
    boxes = list(_BOX.finditer(line))
    start = line.lstrip(" \t-*+")
    if not boxes or not start.startswith(boxes[0][0]) or (len(boxes) < 2 and boxes[0][0][0] != "("):
        return line
    pieces = [line[box.end() : later.start()] for box, later in zip(boxes, [*boxes[1:], None], strict=True) if later]
    pieces.append(line[boxes[-1].end() :])
    return "\n".join(
        f"{box[0].replace('(', '[').replace(')', ']')} {piece.strip(' ,;')}"
        for box, piece in zip(boxes, pieces, strict=True)
    )


def _with_tables(lines: list[str], is_name: IsName) -> Iterator[str]:
    """Rows of cells below a header that names a verdict, or of a name and its value each, as lines of items."""
    position = 0
    while position < len(lines):
        rows = _rows(lines, position)
        yield from _table(lines[position : position + len(rows)], rows, is_name) if len(rows) > 1 else [lines[position]]
        position += max(len(rows), 1)


def _rows(lines: list[str], start: int) -> list[list[str]]:
    """The cells of the lines from `start` on that have as many as it; a rule has none."""
    mark = next((mark for mark in _CELL_BREAKS if mark in lines[start]), None)
    rows: list[list[str]] = []
    for line in lines[start:] if mark else ():
        cells = [cell.strip(" \t*_`\"'") for cell in line.strip().strip("|").split(mark)]
        if rows and len(cells) != len(rows[0]):
            break
        rows.append(cells if line.strip("-|:+ \t") else [])
    return rows


def _table(lines: list[str], rows: list[list[str]], is_name: IsName) -> Iterator[str]:
    if all(len(row) == 2 and is_name(row[0]) and _is_value(row[1], is_name) for row in rows if row):
        yield from (f"{row[0]}: {row[1]}" for row in rows if row)
        return
    header = next(
        (number for number, row in enumerate(rows) if _verdict_column(row) is not None or _choices(row)), None
    )
    if header is None or any(map(is_name, rows[header])):
        yield from lines
        return
    yield from lines[:header]
    verdict, choices = _verdict_column(rows[header]), _choices(rows[header])
    for line, row in zip(lines[header + 1 :], rows[header + 1 :], strict=True):
        name = next(filter(is_name, row), "")
        marked = [choice for column, choice in choices.items() if row and row[column]]
        if name and len(marked) == 1:
            yield f"{name}: {marked[0]}"
        elif name and verdict is not None and read_value(row[verdict]):
            yield f"{name}: {row[verdict]}"
        elif row:
            yield line


def _is_value(cell: str, is_name: IsName) -> bool:
    return read_value(cell) is not None and not is_name(cell)


def _verdict_column(header: list[str]) -> int | None:
    columns = [column for column, cell in enumerate(header) if is_verdict(cell)]
    # "present" says more than the score beside it, which is no value itself.
    return next((column for column in columns if read_value(header[column])), next(iter(columns), None))


def _choices(header: list[str]) -> dict[int, str]:
    choices = {column: cell for column, cell in enumerate(header) if cell.lower() in ("yes", "no", "present", "absent")}
    return choices if len(choices) > 1 else {}


def _with_groups(text: str, is_name: IsName) -> str:
    groups = [
        (match, value, names, end)
        for pattern in (_GROUP, _TICKED_GROUP, _HEADING_GROUP)
        for match in pattern.finditer(text)
        if (value := _head_value(match["head"])) is not None
        for names, end in [_names(text, match, is_name)]
        if names
    ]
    polarities = {value for _, value, _, _ in groups}
    pieces: list[str] = []
    position = 0
    for match, value, names, end in sorted(groups, key=lambda group: group[0].start()):
        is_bare = match["head"].strip(_DRESS).lower() in _BARE_HEADS
        if match.start() >= position and not (is_bare and len(polarities) < 2):
            pieces += [
                text[position : match.start()],
                *(f"\n{name}: {'yes' if value else 'no'}" for name in names),
                "\n",
            ]
            position = end
    return "".join([*pieces, text[position:]])


def _head_value(head: str) -> bool | None:
    words = " ".join(_HEAD_WORDS.sub(" ", head).split()).strip(_DRESS)
    for candidate in (head.strip(_DRESS), words):
        value = read_value(candidate)
        if value is not None and value[1] and candidate.lower() not in _VALENCES and not candidate[:1].isdigit():
            return bool(value[0])
    return None


def _names(text: str, match: re.Match[str], is_name: IsName) -> tuple[list[str], int]:
    """The names behind a head, on its line or as a list below it, and where they end."""
    names = _split_names(match["names"], is_name)
    if names or match["names"].strip(_DRESS):
        return names, match.end()
    position = match.end()
    while position < len(text) and (bullet := _BULLET.match(text, position + 1)):
        listed = _split_names(bullet["names"], is_name)
        if not listed:
            break
        names += listed
        position = bullet.end()
    return names, position


def _split_names(text: str, is_name: IsName) -> list[str]:
    names = [name for piece in _BETWEEN_NAMES.split(text) if (name := piece.strip(_DRESS))]
    return names if all(len(name.split()) <= _MOST_WORDS and is_name(name) for name in names) else []
