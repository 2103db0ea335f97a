"""The answer in what a model wrote, without the reasoning and the wrapping around it. No torch.

Models that reason write it into their text, between marks of each family's own: `<think>` (DeepSeek, Qwen, GLM, most
others), `<thought>` (EXAONE), `<seed:think>`, `[THINK]` (Magistral), `◁think▷` (Kimi), `<|begin_of_thought|>`
(OpenThinker, Sky-T1), `<|START_THINKING|>` (Command A), `<|think|>` (Solar), `<|inner_prefix|>` (Apertus),
`<|channel|>analysis<|message|>` (gpt-oss), `<|channel>thought` (Gemma 4), `<unused94>thought` (MedGemma), "Here is my
thought process:" (Granite 3.2). Others write sections: "**Thinking:** ... **Answer:** ...", 【思考过程】...【回答】.
One rule for the names of tags finds most, a table of marks and sections the rest.
"""

from __future__ import annotations

import re

UNFINISHED = "the text ends within its reasoning, before an answer"

_TOPIC = (
    r"(?!(?:no|end)[_ ])(?:[a-z0-9]{1,20}[:_])?(?:(?:ant|inner|internal|hidden|self|my|deep|step by step)[ _-]?)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?s?|analysis|scratch[ _-]?pad|rationale|plan(?:ning)?"
    r"|monologue|deliberation|brainstorm(?:ing)?|critique|verification|draft|chain[ _-]of[ _-]thoughts?|cot"
    r"|思考|推理|反思|思维链|思路)"
    r"(?:[ _-]?(?:process|content|block|steps?|trace|section|notes?)|过程|過程|内容)?"
)
"""What a tag of reasoning is called: one of these words, alone or with another around it (`inner_monologue`)."""
_GAP = r"\s{0,9}"
_LEFT, _RIGHT = rf"(?:<|&lt;){_GAP}", rf"{_GAP}(?:>|&gt;)"
_OPENING_TAGS = (
    rf"{_LEFT}{_TOPIC}(?:\s[^<>]{{0,200}})?{_RIGHT}",
    rf"[\[【]{_GAP}(?:think|思考(?:过程|過程)?){_GAP}[\]】]",
    rf"◁{_GAP}{_TOPIC}{_GAP}▷",
    rf"<\|{_GAP}(?:(?:begin|start)[ _](?:of[ _])?)?{_TOPIC}(?:[ _](?:start|begin))?{_GAP}\|>",
    rf"<\|{_GAP}inner_prefix{_GAP}\|>",
    rf"<\|{_GAP}channel{_GAP}\|>{_GAP}(?:analysis|commentary)\b",
    rf"<\|channel>{_GAP}thought\b",
    r"<unused94>",
    r"\A\s*Here(?:'s| is) my thought process:",
    # gpt-oss without its marks, where a server removed them
    r"\A\s*(?-i:analysis(?=[A-Z]))",
)
_CLOSING_TAGS = (
    rf"{_LEFT}/{_GAP}{_TOPIC}{_RIGHT}",
    rf"[\[【]{_GAP}/{_GAP}{_TOPIC}{_GAP}[\]】]",
    rf"◁{_GAP}/{_GAP}{_TOPIC}{_GAP}▷",
    rf"<\|{_GAP}(?:/{_GAP}|end[ _](?:of[ _])?){_TOPIC}{_GAP}\|>",
    rf"<\|{_GAP}{_TOPIC}[ _]end{_GAP}\|>",
    rf"<\|{_GAP}inner_suffix{_GAP}\|>",
    rf"<\|{_GAP}channel{_GAP}\|>{_GAP}final\b[^<]{{0,40}}(?:<\|{_GAP}constrain{_GAP}\|>[^<]{{0,40}})?"
    rf"<\|{_GAP}message{_GAP}\|>",
    r"<\|content\|>",
    r"<channel\|>",
    r"<unused95>",
    r"\A\s*Here(?:'s| is) my thought process:(?s:.*)\bHere(?:'s| is) my response:",
    r"\A\s*(?-i:analysis(?=[A-Z])(?s:.*)assistantfinal)",
    # Ollama on a terminal
    r"\A\s*Thinking\.\.\.\n(?s:.*)\n\.\.\.done thinking\.",
)
_ANSWERS = (
    r"(?:(?:the|my|final)[ _-]){0,2}(?:answer|response|output|solution|conclusion|result)"
    r"|final|(?:最终|最后)?(?:答案|回答|答复|结论|输出|结果)"
)
_THOUGHT = r"(?:my )?(?:think(?:ing)?|thoughts?)(?: process)?|(?:思考|推理|思维链)(?:过程|過程)?"
_BLOCKS = (
    # Solar: what ends the turn of reasoning ends the block where words follow.
    rf"<\|{_GAP}{_TOPIC}{_GAP}\|>(?:[^<]|<(?!\|))*+<\|end\|>(?=\s*(?!<\|(?:start|begin|channel)\|>)\S)",
    rf"```{_GAP}{_TOPIC}[ \t]*\n(?:(?!```)[\s\S])*+```",
    rf"<!--{_GAP}{_TOPIC}\b(?:(?!-->|<!--)[\s\S])*+-->",
    r"<details\b[^<>]{0,200}reasoning[^<>]{0,200}>(?:(?!</?details)[\s\S])*+</details>",
)
"""Whole blocks of reasoning whose end alone says nothing."""
_HEADED_ANSWER = (
    rf"\A\s*(?:#{{1,6}}[ \t]*|\*\*|[【\[])?(?:{_TOPIC}|{_THOUGHT})(?:\*\*|[】\]:：]|[ \t]*\n)(?s:.*)"
    rf"(?:^[ \t]*(?:#{{1,6}}[ \t]*(?:{_ANSWERS})[:：]?[ \t]*$|\*\*(?:{_ANSWERS})(?:[:：]?\*\*|\*\*[:：])[:：]?"
    rf"|(?:{_ANSWERS})[:：])|[【\[](?:{_ANSWERS})[】\]][:：]?)"
)
"""Sections of a text that begins with one of reasoning: what stands below the last heading of an answer is it."""
_HEADED_THOUGHT = (
    rf"\A\s*(?:#{{1,6}}[ \t]*(?:{_THOUGHT})[:：]?[ \t]*$|\*\*(?:{_THOUGHT})(?:[:：]\*\*|\*\*(?:[:：]|[ \t]*$))"
    rf"|```{_GAP}{_TOPIC}[ \t]*$|<!--{_GAP}{_TOPIC}\b|<details\b[^<>]{{0,200}}reasoning[^<>]{{0,200}}>)"
)
"""The beginning of a text that ends within its reasoning, where nothing closes it."""
_OPENING, _CLOSING = "|".join(_OPENING_TAGS), "|".join(_CLOSING_TAGS)
_EMPTY_BLOCK = re.compile(rf"(?:<|＜|&lt;){_GAP}{_TOPIC}(?:\s[^<>]{{0,200}}?)?[/／]{_GAP}(?:>|＞|&gt;)", re.IGNORECASE)
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
    r"[<＜\[【◁\\]|&lt;|\A\s*(?:[#*]|analysis[A-Z]|```|(?i:(?:here|my|inner|step)\b|think|thought|reason|analysis|plan|思|推))"
)
"""What every mark begins with: most texts have none, and it is found sooner than them."""
_MARK = re.compile(
    f"(?P<closing>{'|'.join(_BLOCKS)}|{_HEADED_ANSWER}|{_CLOSING})|{_OPENING}|{_HEADED_THOUGHT}",
    re.IGNORECASE | re.MULTILINE,
)
_TOKEN = re.compile(rf"{_CLOSING}|{_OPENING}|<\|(?:channel|message|constrain)\|>|<\|channel>", re.IGNORECASE)
_END = re.compile(r"<\|(?:return|end|call)\|>\Z")
_ANSWER_OPENED = re.compile(
    rf"{_LEFT}(?:{_ANSWERS}){_RIGHT}|<\|{_GAP}(?:begin_of_(?:solution|answer|box)|start_response){_GAP}\|>",
    re.IGNORECASE,
)
_ANSWER_CLOSED = re.compile(
    rf"{_LEFT}[/／]{_GAP}(?:{_ANSWERS}){_RIGHT}|<\|{_GAP}(?:end_of_(?:solution|answer|box)|end_response){_GAP}\|>",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s{0,9}\{")
_BRACE = re.compile(r"[{}]")
_FONT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|emph)\s{0,9}\{([^{}]*)\}")


def final_answer(text: str) -> str | None:
    """What `text` answers; None when it ends within its reasoning. A text with neither is given back as it is.

    All up to the last mark that closes reasoning is left out, also without a mark that opens it, which chat templates
    write themselves. Reasoning that never closes is left out to the end of the text, and so is a block behind which
    nothing stands. Of what remains, the last `<answer>` or `\\boxed{}` is the answer, where it has one.
    """
    if _POSSIBLE.search(text) is None:
        return text
    text = _EMPTY_BLOCK.sub("", text)
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
    return _unwrapped(_without_end(text[start:end]))


def open_mark(text: str) -> str:
    """The mark that opens the reasoning within which `text` ends, "" when it does not end in reasoning."""
    mark = _last(_MARK, _matched(_EMPTY_BLOCK.sub("", text)))
    return mark[0] if mark is not None and mark["closing"] is None else ""


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
