"""The answer in what a model wrote, without the reasoning and the wrapping around it. No torch.

Models that reason write it into their text, between marks of each family's own: `<think>` (DeepSeek, Qwen, GLM, most
others), `<thought>` (EXAONE), `<seed:think>`, `[THINK]` (Magistral), `◁think▷` (Kimi), `<|begin_of_thought|>`
(OpenThinker, Sky-T1), `<|START_THINKING|>` (Command A), `<|think|>` (Solar), `<|inner_prefix|>` (Apertus),
`<|channel|>analysis<|message|>` (gpt-oss), `<|channel>thought` (Gemma 4), `<unused94>thought` (MedGemma), "Here is my
thought process:" (Granite 3.2). Others write sections: "**Thinking:** ... **Answer:** ...", 【思考过程】...【回答】, or
fields of JSON. One rule for the names of tags finds most, a table of marks and sections the rest.
"""

from __future__ import annotations

import re

from affectgpt.core.reasoning_fields import without_reasoning_fields
from affectgpt.core.reasoning_sections import ANSWERS, TOPIC, reasoning_section

UNFINISHED = "the text ends within its reasoning, before an answer"

_GAP = r"\s{0,9}"
_SUMMARY = r"[^<]{0,80}?(?:\b(?:think(?:ing)?|thoughts?|reasoning)\b|思考|推理)[^<]{0,80}"
_LEFT, _RIGHT = rf"(?:<|&lt;){_GAP}", rf"{_GAP}(?:>|&gt;)"
_OPENING_TAGS = (
    rf"{_LEFT}{TOPIC}(?:\s[^<>]{{0,200}})?{_RIGHT}",
    rf"[\[【]{{1,2}}{_GAP}(?:think|思考(?:过程|過程)?|(?:思考|推理)(?:开始|開始)){_GAP}[\]】]{{1,2}}",
    rf"{_LEFT}(?:思考|推理)(?:开始|開始){_RIGHT}",
    rf"◁{_GAP}{TOPIC}{_GAP}▷",
    rf"<\|{_GAP}(?:(?:begin|start)[ _](?:of[ _])?)?{TOPIC}(?:[ _](?:start|begin))?{_GAP}\|>",
    rf"<\|{_GAP}inner_prefix{_GAP}\|>",
    rf"<\|{_GAP}channel{_GAP}\|>{_GAP}(?:analysis|commentary)\b",
    rf"<\|channel>{_GAP}thought\b",
    r"<unused94>",
    r"\A\s*Here(?:'s| is) my thought process:",
    # gpt-oss without its marks, where a server removed them
    r"\A\s*(?-i:(?:analysis|commentary)(?=[A-Z]))",
    rf"<(?:div|section|span|p|aside|details|message|part)\s[^<>]{{0,200}}={_GAP}[\"']?{TOPIC}\b[^<>]{{0,200}}>",
    rf"<details\b[^<>]{{0,200}}>\s*<summary\b[^<>]{{0,200}}>{_SUMMARY}</summary>",
)
_CLOSING_TAGS = (
    rf"{_LEFT}/{_GAP}{TOPIC}{_RIGHT}",
    rf"[\[【《「（(｛{{]{{1,2}}{_GAP}/{_GAP}{TOPIC}{_GAP}[\]】》」）)｝}}]{{1,2}}",
    rf"(?:{_LEFT}|[\[【])(?:思考|推理)(?:结束|結束|完毕|完畢)(?:{_RIGHT}|[\]】])",
    rf"◁{_GAP}/{_GAP}{TOPIC}{_GAP}▷",
    rf"<\|{_GAP}(?:/{_GAP}|end[ _](?:of[ _])?){TOPIC}{_GAP}\|>",
    rf"<\|{_GAP}{TOPIC}[ _]end{_GAP}\|>",
    rf"<\|{_GAP}inner_suffix{_GAP}\|>",
    rf"<\|{_GAP}channel{_GAP}\|>{_GAP}final\b[^<]{{0,40}}(?:<\|{_GAP}constrain{_GAP}\|>[^<]{{0,40}})?"
    rf"<\|{_GAP}message{_GAP}\|>",
    r"<\|content\|>",
    r"<channel\|>",
    r"<unused95>",
    r"\A\s*Here(?:'s| is) my thought process:(?s:.*)\bHere(?:'s| is) my response:",
    r"(?-i:assistantfinal)",
)
_BLOCKS = (
    # Solar: what ends the turn of reasoning ends the block where words follow.
    rf"<\|{_GAP}{TOPIC}{_GAP}\|>(?:[^<]|<(?!\|))*+<\|end\|>(?=\s*(?!<\|(?:start|begin|channel)\|>)\S)",
    rf"(?P<fence>```|~~~){_GAP}{TOPIC}[ \t]*\n(?:(?!(?P=fence))[\s\S])*+(?P=fence)",
    rf"<!--{_GAP}{TOPIC}\b(?:(?!-->|<!--)[\s\S])*+-->",
    rf"<details\b[^<>]{{0,200}}>\s*<summary\b[^<>]{{0,200}}>{_SUMMARY}</summary>(?:(?!</?details)[\s\S])*+</details>",
    rf"<(?P<element>div|section|span|p|aside|details|message|part)\s[^<>]{{0,200}}={_GAP}[\"']?{TOPIC}\b[^<>]{{0,200}}>"
    r"(?:(?!</?(?P=element)\b)[\s\S])*+</(?P=element)>",
    rf"\[(?P<code>spoiler|details|collapse|hide|quote|box)={_GAP}[\"']?{TOPIC}[\"']?\](?:(?!\[/?(?P=code)\b)[\s\S])*+\[/(?P=code)\]",
)
"""Whole blocks of reasoning whose end alone says nothing."""
_OPENING, _CLOSING = "|".join(_OPENING_TAGS), "|".join(_CLOSING_TAGS)
_EMPTY_BLOCK = re.compile(rf"(?:<|＜|&lt;){_GAP}{TOPIC}(?:\s[^<>]{{0,200}}?)?[/／]{_GAP}(?:>|＞|&gt;)", re.IGNORECASE)
_ROLE = re.compile(
    r"(?:<\|(?:begin|start|im_start|start_header_id|end_header_id|assistant|message)\|>(?:\s{0,9}assistant)?\s{0,9}){1,9}\Z",
    re.IGNORECASE,
)
_LONGEST_ROLE = 200
"""What stands before an answer where a server left the marks of the turns in."""
_SAME = str.maketrans(
    {"｜": "|", "▁": "_", "＜": "<", "＞": ">", "／": "/", "\u200b": " ", "\u2060": " ", "\ufeff": " "}
)
_ESCAPED = re.compile(r"\\(?=/?[<>])")
_POSSIBLE = re.compile(
    r"[<＜\[【◁《「（({｛\\]|&lt;|assistantfinal|\A\s*(?:analysis[A-Z\n]|commentary[A-Z]|```|~~~|(?i:here)\b)"
)
"""What every mark begins with: most texts have none, and it is found sooner than them."""
_CUT_BLOCK = rf"\A\s*(?:(?:```|~~~){_GAP}{TOPIC}[ \t]*\n|<!--{_GAP}{TOPIC}\b)"
_MARK = re.compile(f"(?P<closing>{'|'.join(_BLOCKS)}|{_CLOSING})|{_OPENING}|{_CUT_BLOCK}", re.IGNORECASE)
_TOKEN = re.compile(rf"{_CLOSING}|{_OPENING}|<\|(?:channel|message|constrain)\|>|<\|channel>", re.IGNORECASE)
_END = re.compile(r"<\|(?:return|end|call)\|>\Z")
_ANSWER_OPENED = re.compile(
    rf"{_LEFT}(?:{ANSWERS}){_RIGHT}|<\|{_GAP}(?:begin_of_(?:solution|answer|box)|start_response){_GAP}\|>",
    re.IGNORECASE,
)
_ANSWER_CLOSED = re.compile(
    rf"{_LEFT}[/／]{_GAP}(?:{ANSWERS}){_RIGHT}|<\|{_GAP}(?:end_of_(?:solution|answer|box)|end_response){_GAP}\|>",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s{0,9}\{")
_BRACE = re.compile(r"[{}]")
_FONT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|emph)\s{0,9}\{([^{}]*)\}")


def final_answer(text: str) -> str | None:
    """What `text` answers; None when it ends within its reasoning. A text without reasoning is given back as it is.

    All up to the last mark that closes reasoning is left out, also without a mark that opens it, which chat templates
    write themselves. Reasoning that never closes is left out to the end of the text, and so is a block behind which
    nothing stands. Of what remains, the last `<answer>` or `\\boxed{}` is the answer, where it has one.
    """
    section = reasoning_section(text)
    if section and section.end is not None:
        text = text[section.end :]
    answer = _behind_tags(text)
    if answer is None:
        return None
    unwrapped = _unwrapped(_without_end(answer))
    is_open = section is not None and section.end is None and answer is text and unwrapped is text
    return None if is_open else without_reasoning_fields(unwrapped)


def _behind_tags(text: str) -> str | None:
    if _POSSIBLE.search(text) is None:
        return text
    written, text = text, _EMPTY_BLOCK.sub("", text)
    matched = _matched(text)
    marks = list(_MARK.finditer(matched))
    start, end, unfinished = 0, len(text), False
    while marks:
        mark = marks.pop()
        if mark["closing"] is None:
            end, unfinished = mark.start(), True
        elif text[mark.end() : end].strip():
            start = mark.end()
            break
        else:
            while marks and marks[-1]["closing"] is not None:
                marks.pop()
            end = marks.pop().start() if marks else 0
    if unfinished:
        role = _ROLE.search(matched, max(start, end - _LONGEST_ROLE), end)
        end = role.start() if role else end
        if not matched[start:end].strip():
            return None
    return written if end - start == len(written) else text[start:end]


def open_mark(text: str) -> str:
    """The mark that opens the reasoning within which `text` ends, "" when it does not end in reasoning."""
    mark = _last(_MARK, _matched(_EMPTY_BLOCK.sub("", text)))
    if mark is not None:
        return mark[0] if mark["closing"] is None else ""
    section = reasoning_section(text)
    if section is not None:
        return section.heading if section.end is None else ""
    return "" if without_reasoning_fields(text) is not None else text.strip()[:40]


def unfinished(text: str) -> str:
    """The reason why a text has no answer, which names the mark or heading that nothing closes."""
    mark = open_mark(text).strip()
    return f"{UNFINISHED}: nothing closes {mark!r:.60}" if mark else UNFINISHED


def left_out(text: str) -> str:
    """A note of what [final_answer][] leaves out of `text`, "" when it leaves out nothing but blanks."""
    answer = final_answer(text)
    if answer is None or "".join(answer.split()) == "".join(text.split()):
        return ""
    lengths = f"{len(answer.strip())} of {len(text.strip())} characters"
    return f"{lengths} are the answer; the reasoning or marks around it are not read"


def is_reasoning_token(token: str) -> bool:
    """Whether a token of a vocabulary is such a mark, or a part of one."""
    return _TOKEN.fullmatch(_matched(token)) is not None


def _matched(text: str) -> str:
    """`text` with one form of each mark's characters, of the same length."""
    return _ESCAPED.sub(" ", text.translate(_SAME))


def _without_end(text: str) -> str:
    stripped = text.rstrip()
    while end := _END.search(stripped, max(0, len(stripped) - 20)):
        text = stripped = stripped[: end.start()].rstrip()
    return text


def _unwrapped(text: str) -> str:
    opened = _last(_ANSWER_OPENED, text)
    closed = _ANSWER_CLOSED.search(text, opened.end() if opened else 0)
    # A wrapper that is opened only is one where nothing stands before it: "<answer> happy", cut at its longest length.
    if closed or (opened and not text[: opened.start()].strip()):
        text = text[opened.end() if opened else 0 : closed.start() if closed else len(text)]
    boxed = _last(_BOXED, text)
    return text if boxed is None else _FONT.sub(r"\1", _to_closing_brace(text[boxed.end() :]))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = list(pattern.finditer(text))
    return matches[-1] if matches else None


def _to_closing_brace(text: str) -> str:
    depth = 1
    for brace in _BRACE.finditer(text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[: brace.start()]
    return text
