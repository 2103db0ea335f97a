"""What the value of an item in a checklist says: that it is absent, there, or how much of it. No torch."""

from __future__ import annotations

import re

from affectgpt.lexicon.families import simplified

_DENYING = (
    "no, not, never, none, nothing, nope, nah, nil, hardly, barely, scarcely, isn't, wasn't, aren't, doesn't, "
    "can't, cannot, without, lack, lacks, zero, neither"
)
_ABSENT = (
    "absent, missing, lacking, false, undetected, undetectable, unobserved, unexpressed, unlikely, improbable, "
    "negative, negligible, insignificant, imperceptible, nonexistent, non-existent, excluded, ruled out, "
    "rejected, inactive, off, unknown, unclear, uncertain, undetermined, unsure, inconclusive, null, nan, n/a, "
    "na, n, f"
)
_PRESENT = (
    "yes, yep, yeah, true, present, detected, observed, found, visible, shown, expressed, evident, clear, "
    "obvious, included, identified, exists, positive, sure, on, y, t"
)
_DEGREE = (
    "low, little, minimal, mild, weak, slight, faint, subtle, some, medium, moderate, high, strong, intense, "
    "extreme, possible, possibly, probable, probably, likely, maybe, perhaps, partly, partial"
)
_DEGREE_OF_DEGREE = "very, quite, fairly, rather, relatively, somewhat, extremely, moderately, a"
_SURENESS = (
    "definitely, certainly, clearly, absolutely, probably, most likely, likely, almost, practically, virtually, "
    "really, simply, very, still, currently, is, was, there is, there are, completely, entirely, totally, highly, "
    "strongly, quite"
)
_BEHIND = (
    "at all, in the least, any, anything, a, the, there, here, this, that, it, really, actually, clearly, "
    "obviously, explicitly, directly, visibly, presently, currently, present, presence, detected, detectable, "
    "found, seen, observed, observable, shown, expressed, evident, evidence, visible, noticeable, noticed, "
    "apparent, identified, identifiable, mentioned, indicated, indication, indications, felt, applicable, "
    "recognized, displayed, heard, perceived, perceptible, discernible, conveyed, exhibited, reported, specified, "
    "stated, sign, signs, trace, traces, hint, hints, clear, obvious, sure, certain, likely, possible, true, "
    "whatsoever, anymore, yet, of, in, from, on, to, tell, be, is, been, clip, video, text, voice, face, audio, "
    "scene, speech, speaker, person"
)
"""Words that go on with a denial or a yes and change nothing; "doubt", "only", "one" and the like are none."""
_CHINESE_ABSENT = (
    r"(?:(?:完全|根本|几乎|并|毫|均|都|暂|也|从来?|丝毫|目前)*(?:没有|没|无|未|不|非|否|零|缺乏|缺失|看不出|难以)"
    r"(?:明显|明确|任何|检测|检出|表现|体现|出现|存在|发现|观察|显示|流露|显露|识别|提及|提到|表达|感受|迹象|痕迹|证据|情绪"
    r"|可见|适用|到|出来|出|的|是|有|在)*|假|错误|错)"
)
_CHINESE_PRESENT = r"(?:明显|明确|确实)?(?:存在|检测到|检出|出现|表现出来|明显|是|有|真|对)"
_CHINESE_DEGREE = "轻微|微弱|中等|强烈|可能|轻度|中度|重度|较?低|中|较?高|较?弱|较?强|有一点|有点|少许|一些"


def _words(listed: str) -> str:
    words = sorted((word.strip() for word in listed.split(",")), key=len, reverse=True)
    return "|".join(re.escape(word) for word in words)


TICKS, CROSSES = "✓✔✅☑√👍🟢", "✗✘✕✖×❌☐⬜□👎🚫⛔➖🔴"
_TAIL = rf"(?:[ -](?:{_words(_BEHIND)})\b){{0,7}}"
_SURE = rf"(?:(?:{_words(_SURENESS)}) ){{0,2}}"
_NUMBER = (
    r"(?P<number>[-−]?(?:\d{1,4}(?:[.,]\d{1,9})?|\.\d{1,9})(?:e[-+]?\d{1,3})?)"
    r"(?P<scale> ?[%％]| ?/ ?\d{1,4}| out of \d{1,4})?(?: ?(?:points?|stars?|percent|分)(?![^\W\d_]))?"
)
VALUE = (
    r"(?:(?P<absent>[-–—](?=\s*(?:[,;|\n<\"')\]}]|\Z))|"
    rf"[\[(（] ?[\])）]|[{CROSSES}]|{_SURE}(?:{_words(_DENYING)})\b{_TAIL}"
    rf"|{_SURE}(?:{_words(_ABSENT)})\b{_TAIL}|{_CHINESE_ABSENT})"
    rf"|(?P<present>[\[(（][xX✓✔][\])）]|[{TICKS}]|{_SURE}(?:{_words(_PRESENT)})\b{_TAIL}|{_CHINESE_PRESENT})"
    rf"|(?P<degree>(?:(?:{_words(_DEGREE_OF_DEGREE)}) )?(?:{_words(_DEGREE)})\b|{_CHINESE_DEGREE})|{_NUMBER})"
)
"""The pattern of a value, for case-insensitive matching; its groups are what [share_of][] reads."""
_WHOLE_VALUE = re.compile(VALUE, re.IGNORECASE)
_DRESSING = " *_`\"'“”‘’\ufe0f"
_LEAST_SHARE = 0.05
"""A score below this share of its scale is none."""
_HALF_WIDTH = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF5B), 0xFF05, 0xFF0E, 0xFF1D)}


def plain_characters(text: str) -> str:
    """`text` in simplified characters with ASCII digits and letters, of the same length."""
    return simplified(text).translate(_HALF_WIDTH)


def read_value(text: str) -> tuple[float, bool] | None:
    """The share that a value says and whether it is a plain yes or no; None for a text that is no value."""
    match = _WHOLE_VALUE.fullmatch(plain_characters(text).strip(_DRESSING))
    return None if match is None else (share_of(match.groupdict()), is_plain(match.groupdict()))


def share_of(parts: dict[str, str | None]) -> float:
    """0 for what is absent, 1 for what is there, or its score, as a fraction where it has a scale ("7/10" is 0.7)."""
    share = _exact_share(parts)
    return share if share >= _LEAST_SHARE else 0.0


def is_plain(parts: dict[str, str | None]) -> bool:
    """Whether the value is a yes or no (also none or all of a scale), no degree and no score between."""
    return not parts["degree"] and _exact_share(parts) in (0.0, 1.0)


def _exact_share(parts: dict[str, str | None]) -> float:
    number = parts["number"]
    if number is None:
        return 0.0 if parts["absent"] else 1.0
    scale = (parts["scale"] or "").lower().replace("out of", "").strip(" /")
    highest = 100.0 if scale in ("%", "％") else float(scale or 1)
    return float(number.replace(",", ".").replace("−", "-")) / highest if highest else 0.0
