"""A label as annotators write it -> the forms to look it up under: "a bit sad" -> "sad", "有点生气" -> "生气".

Only words of degree ("very", "有点") and words that say no more than that something is felt ("feeling", "情绪") are
dropped. A denied label ("not happy", "不太高兴") keeps its denial, so it is never taken for the opposite. Nor is 被
dropped: one at whom mockery is aimed ("被嘲笑") does not feel it.
"""

from __future__ import annotations

from collections.abc import Iterator

LONGEST_LABEL = 100


def _longest_first(text: str) -> tuple[str, ...]:
    return tuple(sorted((part.strip() for part in text.split(",")), key=lambda part: (-len(part), part)))


_BEFORE = _longest_first(
    "a, an, the, very, so, too, quite, rather, fairly, pretty, more, most, much, somewhat, slight, mild, "
    "moderate, strong, intense, deep, great, extreme, utter, sheer, pure, genuine, bit, a little, little bit, "
    "a bit, a bit of, bit of, kind of, sort of, some, sense of, feeling of, feelings of, full of, filled with, "
    "touch of, hint of, trace of, state of, tone of, expression of, mood of, in, feel, feels, feeling, felt, "
    "being, be, is, was, appears, appear, seems, seem, looks, look, looking, sounds, sounding, with, show, "
    "shows, showing, express, expresses, expressing"
)
_AFTER = _longest_first(
    "emotion, emotions, emotional, feeling, feelings, mood, state, emotional state, tone, attitude, "
    "expression, vibe, about, at, of, to, with, for, towards, toward, by, in, it, a bit, a little"
)
_BEFORE_CHINESE = _longest_first(
    "有一点儿, 有一点, 有点儿, 有点, 有些, 一点, 一些, 些许, 一丝, 稍微, 稍, 略微, 略带, 略显, 略, 轻微, 非常, "
    "十分, 特别, 极其, 极度, 极为, 极, 格外, 异常, 相当, 比较, 较为, 很, 太, 挺, 好, 更, 最, 真, 超级, 强烈的, "
    "强烈, 深深的, 深感, 深, 感到, 感觉, 觉得, 倍感, 显得, 充满, 带有, 带着, 内心, 情绪, 心情, 的, 地"
)
_AFTER_CHINESE = _longest_first(
    "的情绪, 的心情, 的感觉, 的样子, 的语气, 的态度, 情绪, 心情, 心理, 感觉, 之情, 之感, 语气, 态度, 不已, "
    "极了, 万分, 起来, 感, 的, 地, 了, 着"
)
# Adverbs that say how much or how something is felt ("visibly upset"); others may deny it ("rarely happy").
_ADVERBS = frozenset(
    _longest_first(
        "absolutely, acutely, awfully, badly, bitterly, briefly, chiefly, clearly, completely, considerably, "
        "constantly, continually, continuously, deeply, definitely, desperately, distinctly, dreadfully, "
        "emotionally, enormously, entirely, especially, evidently, exceedingly, exceptionally, excessively, "
        "extraordinarily, extremely, faintly, fairly, fiercely, fully, generally, genuinely, gravely, greatly, "
        "heavily, highly, hopelessly, hugely, immensely, increasingly, incredibly, infinitely, intensely, "
        "internally, inwardly, largely, lightly, mainly, mentally, mildly, moderately, momentarily, morally, mostly, "
        "noticeably, obviously, openly, overly, overwhelmingly, painfully, partially, particularly, partly, "
        "perfectly, physically, plainly, pleasantly, positively, predominantly, primarily, privately, profoundly, "
        "psychologically, purely, quietly, really, relatively, remarkably, secretly, seriously, severely, sharply, "
        "silently, simply, sincerely, slightly, softly, sorely, spiritually, strikingly, strongly, subtly, suddenly, "
        "surprisingly, terribly, thoroughly, totally, tremendously, truly, unbearably, unbelievably, uncontrollably, "
        "unexpectedly, unmistakably, unusually, utterly, vaguely, vehemently, visibly, vividly, wholly, wildly"
    )
)
MOST_FORMS = 32


def lookup_forms(label: str) -> Iterator[str]:
    """`label` itself, then shorter and shorter forms of it. Nothing for a label longer than `LONGEST_LABEL`."""
    if len(label) > LONGEST_LABEL:
        return
    distinct = {normalize_spelling(label): None}  # a dict keeps the order
    queue = list(distinct)
    for form in queue:
        if not form:
            return
        yield form
        for shorter in (_without_after(form), _without_before(form)):
            if shorter and shorter not in distinct and len(distinct) < MOST_FORMS:
                distinct[shorter] = None
                queue.append(shorter)


def normalize_spelling(word: str) -> str:
    """The spelling under which words are compared: lower case, single blanks, no hyphens, straight apostrophes."""
    return " ".join(word.lower().replace("-", " ").replace("_", " ").replace("’", "'").split())


def _without_before(form: str) -> str | None:
    for part in _BEFORE:
        if form.startswith(part + " "):
            return form[len(part) + 1 :]
    first, _, remainder = form.partition(" ")
    if remainder and first in _ADVERBS:
        return remainder
    for part in _BEFORE_CHINESE:
        if form.startswith(part):
            return form[len(part) :].strip() or None
    return None


def _without_after(form: str) -> str | None:
    for part in _AFTER:
        if form.endswith(" " + part):
            return form[: -len(part) - 1]
    for part in _AFTER_CHINESE:
        if form.endswith(part):
            return form[: -len(part)].strip() or None
    return None
