"""Read labels or a sentiment from an LLM's answer, or say why there is none. No torch.

Nothing is guessed: an answer in another form is an error, never an empty list.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from affectgpt.core.contracts import SENTIMENTS, Extraction
from affectgpt.core.final_answer import UNFINISHED, final_answer
from affectgpt.lexicon.families import simplified
from affectgpt.plugins.extractors.checklist_values import read_value
from affectgpt.plugins.extractors.checklists import checklist_items

LONGEST_LABEL = 40
MOST_WORDS = 4
LONGEST_CHINESE = 4
_SHORTEST_NAME = 3
"""Letters of a name in a checklist: "a: n" is none."""
_HEAD = 80
# One item makes a checklist where it says so in words: "anger: no", not "abc=0".
_LONE_ITEM = re.compile(r"[:：=].*(?:[^\W\d_]{2}|[\u4e00-\u9fff])")
_CUT = "the answer is cut at its longest length"
_CUT_REASONING = "the answer is cut within its reasoning; `reasoning_tokens` gives it more room"
_WORD = r"[^\W\d_]+(?:['’][^\W\d_]+)*"
_LABEL = re.compile(rf"{_WORD}(?:[ -]{_WORD}){{0,{MOST_WORDS - 1}}}")
_QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'"
_ITEM = re.compile(rf"\s*(?:({_QUOTED})|([^\[\]\"',]+))\s*(?:,|$)")
_FENCE = re.compile(r"```(?:json|python|text)?\s*\n?(.*?)\n?```", re.DOTALL)
_PREFIX = re.compile(r"([A-Za-z ]{1,60}):\s*")
_PREFIX_WORDS = (
    "all answer are clearly detected emotion emotional emotions expressed extracted final found here identifiable"
    " identified is json label labels list output response result results state states the these words word"
)
_HEADINGS = frozenset(_PREFIX_WORDS.split()) | {"and", "checklist", "presence", "present", "score", "value"}
# Outside a list, words that make a sentence and no emotion: "I cannot tell", "not specified".
_SENTENCE = (
    "a am an and any are as be been but can can't cannot can’t clear could description do does don't don’t emotion"
    " emotions false from has have he i i'm i’m if in is it labels list mentioned my no not nothing of on or person"
    " please provided she shows specified text that the there they this to true unable unclear unknown video was we"
    " were with would yes you"
)
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
# "none", also as models put it: "none detected", "none clearly identifiable".
_NONE = re.compile(
    r"null|none(?: (?:at all|ascribed|clear(?:ly)?|described|detectable|detected|expressed|found|given|here"
    r"|identifiable|identified|listed|mentioned|present|specified|stated))*"
)
# What is never an emotion. It stands for no answer: which of none and unknown is meant, nobody can tell.
_NO_LABEL = re.compile(
    r"(?:none|nothing|error|undefined|invalid|unspecified)(?: .*)?"
    r"|no (?:\w+ )?(?:emotion|emotional|feeling|label|word)s?(?: .*)?"
    r"|not (?:applicable|available|clear|detected|found|given|identified|mentioned|present|provided|specified|stated)"
    r"|emotions?|labels?|words?|list|string|text|true|false|unclear|unknown|empty list|nan|nil"
    r"|不明|不明确|不清楚|不知道|情绪|暂无|未提及|未知|空|(?:无|没有)(?:明显)?(?:的)?(?:情绪|情感)?"
)
# Outside a list, an address to the one who asked.
_REPLY = re.compile(
    r"(?:ok|okay|sorry|sure|alright|hello|hi)(?: .*)?|absolutely|all right|apologies|certainly|done|good|got it|great"
    r"|here|noted|of course|please|right|thank you|thanks|understood|welcome"
    r"|可以|好|好的|当然|您好|你好|对不起|抱歉|明白|是|是的|收到|谢谢"
)


@dataclass(frozen=True)
class LLMAnswer:
    """The text of an answer; `cut` when it reached the longest length without an end.

    `refused` is the server's reason for refusing the question; the text is then empty.
    """

    text: str
    cut: bool = False
    refused: str = ""


def read_emotions(answer: LLMAnswer) -> Extraction:
    """The labels of a JSON or Python list, or of words with commas between them, after a prefix such as "Emotions:".

    Of a checklist ("anger: no, joy: yes"), those that are there. Traditional Chinese is given as simplified.
    """
    reply = final_answer(answer.text)
    if answer.refused or answer.cut or reply is None:
        return _no_answer(answer, reply)
    text = reply.strip()
    fence = _FENCE.fullmatch(text)
    text = fence[1].strip() if fence else text
    prefix = _PREFIX.match(text)
    if prefix and set(prefix[1].lower().split()) <= set(_PREFIX_WORDS.split()):
        text = text[prefix.end() :]
    text = text.removesuffix(".").strip()
    if not text:
        return _unreadable("the answer is empty", reply)
    checked = _checked(text)
    is_list = text[0] == "["
    items = checked if checked is not None else _parse_list(text) if is_list else _split_at_commas(text)
    if items is None:
        return _unreadable("the answer is no list of emotion words", reply)
    written = [" ".join(simplified(item).lower().split()).rstrip(".。") for item in items]
    labels = [label for label in written if not _NONE.fullmatch(label)]
    for label in labels:
        if len(label) > LONGEST_LABEL or not _LABEL.fullmatch(label) or _is_no_label(label, is_list):
            return _unreadable(f"{label[:LONGEST_LABEL]!r} is no emotion word", reply)
    return Extraction(tuple(dict.fromkeys(labels)))


def read_sentiment(answer: LLMAnswer) -> Extraction:
    """Exactly one of the three words; case, quotes and punctuation around it do not count."""
    text = final_answer(answer.text)
    if answer.refused or answer.cut or text is None:
        return _no_answer(answer, text)
    checked = _checked(text) or []
    word = checked[0].lower() if len(checked) == 1 else re.sub(r"^[\W_]+|[\W_]+$", "", text).lower()
    if word in SENTIMENTS:
        return Extraction((word,))
    return _unreadable(f"the answer is none of {', '.join(SENTIMENTS)}", text)


def _is_no_label(label: str, is_list: bool) -> bool:
    return bool(_NO_LABEL.fullmatch(label) or (not is_list and _REPLY.fullmatch(label)))


def _checked(text: str) -> list[str] | None:
    """What is there of a checklist of yes and no; None for anything else, also for one with degrees or scores."""
    items = [item for item in checklist_items(text) if item.name.lower() not in _HEADINGS and _is_word(item.name)]
    remainder, position = "", 0
    for item in items:
        remainder, position = remainder + text[position : item.start] + " ", item.end
    words = set(re.findall(r"\w+", (remainder + text[position:]).lower()))
    names = {word for item in items for word in item.name.lower().split()}
    is_prose = any(word not in _HEADINGS and read_value(word) is None for word in words)
    is_prose = is_prose or bool(names & set(_SENTENCE.split()))
    if not items or is_prose or not all(item.plain for item in items):
        return None
    if len(items) == 1 and not _LONE_ITEM.search(text[items[0].start : items[0].end]):
        return None
    return [item.name for item in items if item.share]


def _is_word(name: str) -> bool:
    is_long = len(name) >= _SHORTEST_NAME or _IDEOGRAPH.match(name)
    return bool(is_long and _LABEL.fullmatch(name.lower()))


def _parse_list(text: str) -> list[str] | None:
    if not text.endswith("]"):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return _loose_list(text[1:-1])
    return items if isinstance(items, list) and all(isinstance(item, str) for item in items) else None


def _loose_list(body: str) -> list[str] | None:
    """The items of a list that is no JSON: single quotes, or none."""
    items, position = [], 0
    body = body.strip().removesuffix(",")
    while position < len(body):
        item = _ITEM.match(body, position)
        if item is None:
            return None
        items.append(re.sub(r"\\(.)", r"\1", item[1][1:-1]) if item[1] else item[2])
        position = item.end()
    return items


def _split_at_commas(text: str) -> list[str] | None:
    items = [item.strip() for item in re.split(r"[,，、]", text)]
    words = [item.lower().split() for item in items]
    sentence = set(_SENTENCE.split())
    is_prose = any(len(item_words) >= MOST_WORDS or sentence & set(item_words) for item_words in words)
    # Chinese sentences have no blanks between words.
    is_prose = is_prose or any(len(_IDEOGRAPH.findall(item)) > LONGEST_CHINESE for item in items)
    return None if is_prose or "\n" in text else items


def _no_answer(answer: LLMAnswer, text: str | None) -> Extraction:
    if answer.refused:
        return Extraction(error=f"the server refuses the question: {answer.refused}")
    if text is None:
        return _unreadable(_CUT_REASONING if answer.cut else UNFINISHED, answer.text)
    return _unreadable(_CUT, text)


def _unreadable(why: str, text: str) -> Extraction:
    head = text.strip()
    head = head if len(head) <= _HEAD else head[: _HEAD - 3] + "..."
    return Extraction(error=f"{why}: {head!r}")
