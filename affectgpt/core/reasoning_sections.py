"""Reasoning that a text writes as a section of its own: "## Thinking ... ## Answer ...". No torch.

Only a section at the beginning of the text counts. Its heading is a line, or the beginning of one, in any of the usual
forms: `#`, bold, italic, a number, a picture before it, brackets, a rule around it, a colon, or "Thinking..." alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOPIC = (
    r"(?!(?:no|end)[_ ])(?:[a-z0-9]{1,20}[:_])?(?:(?:ant|inner|internal|hidden|self|my|deep|step[ -]by[ -]step)[ _-]?)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?s?|analysis|scratch[ _-]?pad|rationale|plan(?:ning)?"
    r"|monologue|deliberation|brainstorm(?:ing)?|critique|verification|draft|chain[ _-]of[ _-]thoughts?|cot"
    r"|思考|推理|反思|思维链|思路|생각|추론|사고|pensée|réflexion|raisonnement|pensamiento|razonamiento|pensamento"
    r"|raciocínio|denken|gedanken|überlegung(?:en)?|nachdenken|размышлени[ея]|рассуждени[ея]|мысли)"
    r"(?:[ _-]?(?:process|content|block|steps?|trace|section|notes?|fast|slow|faster)|过程|過程|内容|プロセス|과정)?"
)
"""What a tag or heading of reasoning is called: one of these words, alone or with others around it."""
ANSWERS = (
    r"(?:(?:the|my|final)[ _-]){0,2}(?:answer|response|output|solution|conclusion|result|verdict)"
    r"|final|(?:最终|最后)?(?:答案|回答|答复|结论|输出|结果)"
)
"""What the part behind it is called."""
_THOUGHT = (
    r"(?:my )?(?:think(?:ing)?|thoughts?)(?: process)?|(?:正在)?(?:思考|推理|思维链|分析(?=过程|過程))(?:过程|過程|中)?"
)
_EMOTIONS = (
    r"(?:(?:the|final|predicted|main|overall)[ _-]){0,2}(?:emotions?|feelings?|sentiment|mood|labels?|summary)"
    r"|(?:最终|主要)?(?:情绪|情感|情緒|标签|標籤|总结|總結)"
)
_LEAD = r"[^\w\n]{0,12}(?:\d{1,2}[.)、])?[^\w\n]{0,12}"
_BEFORE = rf"(?P<before>{_LEAD})"
_AFTER = (
    r"(?:(?P<alone>[^\w\n:：]{0,80}[:：]?[^\w\n]{0,9}$)|(?P<colon>[*_]{0,3}[:：][*_]{0,3})|(?P<bracket>[】\]」》）)]))"
)
_TIME = r"(?: for [\w. ]{1,30}?(?:s|seconds?|minutes?))?"
_FIRST = re.compile(rf"\s*+{_BEFORE}(?:(?P<thought>{_THOUGHT})|{TOPIC}){_TIME}{_AFTER}", re.IGNORECASE | re.MULTILINE)
_DECORATED = re.compile(r"#|\*(?!\s)|_(?!\s)")
_ELLIPSIS = re.compile(r"\.\.|…|。。")
_DONE = r"^[^\w\n]{0,9}(?:done thinking|思考(?:完成|结束|完毕))[^\w\n]{0,9}$"
_HEADING_OF_ANSWER = re.compile(
    rf"{_DONE}|^{_LEAD}(?:{ANSWERS})(?:[*_]{{0,3}}[:：][*_]{{0,3}}|[^\w\n:：]{{0,80}}[:：]?[^\w\n]{{0,9}}$)"
    rf"|\*\*(?:{ANSWERS})(?:[:：]?\*\*|\*\*[:：])[:：]?|[【\[「《（(](?:{ANSWERS})[】\]」》）)][:：]?",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING_OF_EMOTIONS = re.compile(
    rf"^[ \t]*(?P<level>#{{1,6}}|\*\*)[ \t]*(?:\d{{1,2}}[.)、])?[^\w\n]{{0,9}}(?:{_EMOTIONS})"
    r"[*_]{0,3}[ \t]*(?:[:：]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(r"^[ \t]*(?P<level>#{1,6})[ \t]+\S", re.MULTILINE)
_QUOTED = re.compile(
    rf"\s*+>[^\w\n]{{0,12}}(?:{_THOUGHT}){_TIME}(?:[^\w\n]{{0,9}}$|[*_]{{0,3}}[:：]).*(?:\n[ \t]*>.*)*",
    re.IGNORECASE | re.MULTILINE,
)
_ASIDE = re.compile(rf"\s*+(?:\({TOPIC}[:：][^()]*\)|（{TOPIC}[:：][^（）]*）)", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A section of reasoning at the beginning of a text: its `heading`, and the `end` at which the answer begins.

    `end` is None when no answer follows.
    """

    heading: str
    end: int | None


def reasoning_section(text: str) -> Section | None:
    """The section of reasoning with which `text` begins; None when it begins otherwise.

    The last heading of an answer ends it ("Answer:", "## Conclusion", 【回答】, "...done thinking."); without one, the
    first heading of emotions in the same form, and of a section of thoughts any heading of the same level. A section
    of thoughts that nothing ends has no answer. Where the word is one that may head a description ("Analysis",
    "Reasoning", "Thought: ..."), a text without any such end is no section of reasoning.
    """
    block = _QUOTED.match(text) or _ASIDE.match(text)
    if block:
        is_answered = bool(text[block.end() :].strip())
        if is_answered or block[0].lstrip().startswith(">"):
            return Section(_shown(block[0]), block.end() if is_answered else None)
    first = _FIRST.match(text)
    if first is None:
        return None
    answers = list(_HEADING_OF_ANSWER.finditer(text, first.end()))
    while answers:
        if text[answers[-1].end() :].strip():
            return Section(_shown(first[0]), answers[-1].end())
        answers.pop()
    is_thought = _is_thought(first)
    end = _next_section(text, first, is_thought)
    return Section(_shown(first[0]), end) if end is not None or is_thought else None


def _is_thought(first: re.Match[str]) -> bool:
    """Whether a heading can head nothing but reasoning, so that a text without an answer behind it has none."""
    if first["thought"] is None or " for " in first[0]:
        return False
    if first["alone"] is not None and _ELLIPSIS.search(first["alone"]):
        return True
    return bool(first["bracket"] is None and _DECORATED.search(first["before"]))


def _next_section(text: str, first: re.Match[str], is_thought: bool) -> int | None:
    before = first["before"].strip()
    level = len(before) - len(before.lstrip("#"))
    form = before[:level] if level else before[:2]
    for heading in _HEADING_OF_EMOTIONS.finditer(text, first.end()):
        if heading["level"] == form or (level and len(heading["level"].rstrip("*")) in range(1, level)):
            return heading.start()
    if level and is_thought:
        for heading in _HEADING.finditer(text, first.end()):
            if len(heading["level"]) <= level:
                return heading.start()
    return None


def _shown(heading: str) -> str:
    return heading.strip().splitlines()[0][:40]
