"""The text that belongs to a clip: a file beside it, in SubRip, WebVTT, LRC or plain text."""

from __future__ import annotations

import contextlib
import html
import json
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from affectgpt.media.text_file import decode_text
from affectgpt.registry.errors import MediaError

MAX_BYTES = 2**20

_STAMP = r"(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}"
# "0:00:01.000,0:00:02.000" is SubViewer's.
_TIMING = re.compile(rf"^\s*({_STAMP})\s*(?:-->(?:\s*({_STAMP}))?|,({_STAMP})\s*$)")
# No tag holds an opening bracket: else a line of opening brackets takes time quadratic in its length.
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}|\{[yYcCfFsSpPoO]:[^{}]*\}")
_BREAK = re.compile(r"<br\s*/?>|\\[Nh]", re.IGNORECASE)
# The readings of characters, and shapes that are drawn.
_NO_SPEECH = re.compile(r"<rt>[^<>]*</rt>|\{(?:\\[^{}\\]*)*\\p[1-9](?:\\[^{}]*)?\}[^{}\n]*(?:\{\\p0\})?")
# Characters without a width, but for the joiners that change letters.
_INVISIBLE = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)
_OTHER_FORMS = (
    (re.compile(r"\A\s*\[Script Info\]|^Dialogue: ?\d+,\d", re.IGNORECASE | re.MULTILINE), "SubStation Alpha"),
    (re.compile(r"\A\s*(?:<\?xml[^<>]*>\s*)?(?:<!--[^<>]*-->\s*)?<(?:\w+:)?tt[\s>]", re.IGNORECASE), "TTML"),
    (re.compile(r"\A\s*<SAMI\b", re.IGNORECASE), "SAMI"),
    (re.compile(r"\A\s*(?:<!DOCTYPE\b|<html\b|<\?xml\b)", re.IGNORECASE), "XML or HTML"),
    (re.compile(r"\A\s*\{\d+\}\{\d+\}"), "MicroDVD"),
    (re.compile(r"\A\s*\[\d+\]\[\d+\]"), "MPL2"),
    (re.compile(r"\A\s*\{\\rtf"), "RTF"),
)
_TIMED_WORD = re.compile(r"<\d[\d:.]*>")
_LRC_TIME = re.compile(r"\s*\[(?:\d+:)?\d{1,3}:\d{2}(?:[.:]\d{1,3})?\]")
_LRC_TAG = re.compile(r"\s*\[[a-zA-Z#]+:[^\]]*\]\s*")
# Seconds between two cues of which the second repeats lines of the first: all of its own, or only the first ones.
_SAME_CUE, _SAME_SCROLL = 0.1, 1.0
_SHORTEST_SPEECH = 0.1
_MANY = 3
"""One in so many cues grows where captions grow."""
_END_OF_SENTENCE = (*".!?…。！？", '"', "”")


def read_subtitle(path: Path) -> tuple[str, list[str]]:
    """The words of a subtitle file on one line, without indexes, timings, tags and comments, and notes on what is lost.

    What a `.txt` holds decides how it is read. Raises MediaError when the file cannot be read, is over 1 MiB, or is in
    an encoding that cannot be told.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(
            "the subtitle file cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            expected="a readable text file",
            hint="make it readable, or give the subtitle as text",
        ) from None
    if len(data) > MAX_BYTES:
        raise MediaError(
            "the subtitle file is too large",
            where=str(path),
            found=f"more than {MAX_BYTES:,} bytes",
            expected=f"at most {MAX_BYTES:,} bytes",
            hint="cut it to the part that belongs to the clip, or give the subtitle as text",
        )
    text, notes = decode_text(data, path)
    text = text.translate(_INVISIBLE)
    if form := _other_form(text):
        return "", [*notes, f"{path.name} is not read: it holds {form}, no SubRip, WebVTT, LRC or plain text"]
    words = _words(text, path.suffix.lower())
    if text.strip() and not words:
        notes.append(f"{path.name} holds no words")
    return words, notes


def _other_form(text: str) -> str:
    """What a text is that is none of those that are read, "" for one of them."""
    if text.lstrip()[:1] in "{[" and text.rstrip()[-1:] in "}]":
        with contextlib.suppress(ValueError, RecursionError):
            return "JSON" if json.loads(text) else ""
    return next((form for pattern, form in _OTHER_FORMS if pattern.search(text)), "")


def _words(text: str, suffix: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    if any(_TIMING.match(line) for line in lines):
        return cue_text(text, vtt=suffix == ".vtt" or text.lstrip().startswith("WEBVTT"))
    timed = sum(1 for line in lines if _LRC_TIME.match(line))
    if timed and (suffix == ".lrc" or 2 * sum(1 for line in lines if _is_lrc(line)) >= len(lines)):
        return lyrics_text(text)
    if suffix == ".txt":
        return " ".join(text.split())
    return cue_text(text, vtt=suffix == ".vtt")


def _is_lrc(line: str) -> bool:
    return bool(_LRC_TIME.match(line) or _LRC_TAG.fullmatch(line))


def lyrics_text(text: str) -> str:
    """The words of LRC text in the order of their times, without times and tags such as `[ar:...]`."""
    words: list[tuple[float, str]] = []
    seconds = 0.0
    for line in text.splitlines():
        times = []
        while match := _LRC_TIME.match(line):
            times.append(_seconds(match[0].strip(" \t[]")))
            line = line[match.end() :]
        plain = " ".join(_TAG.sub("", line).split())
        if plain and (times or not _LRC_TAG.fullmatch(line)):
            words += [(seconds, plain) for seconds in times or [seconds]]
        seconds = times[-1] if times else seconds
    return " ".join(plain for _, plain in sorted(words, key=lambda timed: timed[0]))


@dataclass
class _Cue:
    """Lines that are shown from `start` to `end`, in seconds."""

    start: float
    end: float
    lines: list[str] = field(default_factory=list)


def cue_text(text: str, *, vtt: bool) -> str:
    """The words of SubRip text, or of WebVTT text (`vtt=True`), cues joined by a space.

    Lines that roll are taken once: those at the start of a cue that end the cue just before it, and a cue that grows
    by words. The whole file says whether captions roll or something is said again: most cues of several lines begin
    with lines of the cue before, or many grow. A cue that repeats another after a pause is spoken again, and so is a
    cue of one line in a file that does not roll.
    """
    cues = _cues(text, vtt)
    pairs = list(pairwise(cues))
    blocks = [(last, cue) for last, cue in pairs if len(cue.lines) > 1]
    rolls = 2 * sum(_repeated_lines(last, cue) > 0 for last, cue in blocks) >= len(blocks) > 0
    # Words with times of their own are those of automatic captions.
    rolls = rolls or _TIMED_WORD.search(text) is not None
    grows = _MANY * sum(_grows(last, cue) for last, cue in pairs) >= len(pairs)
    words = [" ".join(cue.lines) for cue in cues[:1]]
    for last, cue in pairs:
        repeated = _repeated_lines(last, cue) if rolls or _is_shown_again(last, cue) else 0
        if not repeated and grows and _grows(last, cue):
            words[-1] = words[-1].removesuffix(" ".join(last.lines))
        words.append(" ".join(cue.lines[repeated:]))
    return " ".join(" ".join(words).split())


def _repeated_lines(last: _Cue, cue: _Cue) -> int:
    """How many lines at the start of `cue` are those that `last` ended with."""
    pause = cue.start - last.end
    for count in range(min(len(last.lines), len(cue.lines)), 0, -1):
        if last.lines[-count:] == cue.lines[:count]:
            return count if pause <= (_SAME_CUE if count == len(cue.lines) else _SAME_SCROLL) else 0
    return 0


def _is_shown_again(last: _Cue, cue: _Cue) -> bool:
    """The same cue over again: several lines of it, or nobody speaks as fast, or both at the same time."""
    is_short = min(last.end - last.start, cue.end - cue.start) <= _SHORTEST_SPEECH
    return last.lines == cue.lines and (len(cue.lines) > 1 or is_short or cue.start < last.end - _SAME_CUE)


def _grows(last: _Cue, cue: _Cue) -> bool:
    before, after = " ".join(last.lines), " ".join(cue.lines)
    return (
        after.startswith(f"{before} ") and not before.endswith(_END_OF_SENTENCE) and cue.start - last.end <= _SAME_CUE
    )


def _cues(text: str, vtt: bool) -> list[_Cue]:
    """The cues that have words, in the order of the file."""
    cues: list[_Cue] = []
    for block in re.split(r"\n[ \t]*\n", "\n".join(text.splitlines())):
        lines = [line for line in block.split("\n") if line.strip()]
        # In WebVTT what has no timing is the header, a comment or a style; in SubRip it is text after a blank line.
        if vtt and not any(_TIMING.match(line) for line in lines):
            continue
        cues += _cues_of_block(lines, cues[-1] if cues else _Cue(0.0, 0.0))
    for cue in cues:
        spoken = _BREAK.sub(" ", _NO_SPEECH.sub("", "\n".join(cue.lines)))
        lines = html.unescape(_TAG.sub("", spoken)).translate(_INVISIBLE).split("\n")
        cue.lines = [words for line in lines if (words := " ".join(line.split()))]
    return [cue for cue in cues if cue.lines]


def _cues_of_block(lines: list[str], last: _Cue) -> list[_Cue]:
    # A timing line starts a cue; the line before it is the cue's index. A block may hold several cues: the blank
    # line between them is missing in many files.
    cues = [_Cue(last.start, last.end)]
    for position, line in enumerate(lines):
        if timing := _TIMING.match(line):
            start = _seconds(timing[1])
            cues.append(_Cue(start, _seconds(timing[2] or timing[3] or timing[1])))
        elif not (position + 1 < len(lines) and _TIMING.match(lines[position + 1]) and _is_index(line, position)):
            cues[-1].lines.append(line)
    return cues


def _is_index(line: str, position: int) -> bool:
    # At the head of a block any line is an identifier (WebVTT allows words); inside it only a number is.
    return position == 0 or line.strip().isdigit()


def _seconds(time: str) -> float:
    """`1:02:03,500`, `02:03.5` or `02:03` as seconds."""
    seconds = 0.0
    for number in time.replace(",", ".").split(":"):
        seconds = 60 * seconds + float(number)
    return seconds
