"""The text file beside a clip: which one is read, and what is said of those that are not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from affectgpt.registry.messages import first_and_more

SUFFIXES = (".srt", ".vtt", ".lrc", ".txt")
_UNREAD_SUFFIXES = (".ass", ".ssa", ".sub", ".sbv", ".smi", ".ttml", ".dfxp", ".stl")
_THREE_LETTERS = (
    "ara ben bul cat ces chi chs cht cmn cze dan deu dut ell eng est fas fin fra fre ger gre heb hin hrv hun ind isl"
    " ita jpn kor lav lit may msa nld nob nor per pol por ron rum rus slk slo slv spa srp swe tam tel tgl tha tur ukr"
    " urd vie yue zho"
)
_NAMES = (
    "arabic cantonese chinese czech danish dutch english finnish french german greek hebrew hindi hungarian italian"
    " japanese korean mandarin norwegian persian polish portuguese romanian russian spanish swedish thai turkish"
    " ukrainian vietnamese"
)
# BCP 47: a language, then script, region and variants. What tools add behind a second full stop follows.
_LANGUAGE = re.compile(
    rf"(?:[a-z]{{2}}|{'|'.join(_THREE_LETTERS.split())}|{'|'.join(_NAMES.split())})(?:[-_][a-z0-9]{{2,8}})*"
    r"(?:\.(?:forced|sdh|cc|hi|default|auto|orig))*"
)


def find_sidecar(media: Path) -> tuple[Path | None, list[str]]:
    """The text file of a clip, or None, and notes on the files that could be it and are not read.

    Of `clip.mp4`: `clip.srt`, else `clip.mp4.srt`, else one with a language, as `clip.en.srt` and
    `clip.mp4.zh-Hans.srt`; each with the suffixes of [SUFFIXES][] in their order, in any case. Of files in two
    languages none is read.
    """
    try:
        folder_names = os.listdir(media.parent)
    except OSError:
        return None, []
    start = f"{media.stem.casefold()}."
    names = sorted(name for name in folder_names if name.casefold().startswith(start) and name != media.name)
    clips = {name for name in names if _suffix(name) not in (*SUFFIXES, *_UNREAD_SUFFIXES)}
    fits = {name: fit for name in names if (fit := _fit(name, media, clips)) and (media.parent / name).is_file()}
    notes = [
        f"{name} is not read: subtitles are read from {', '.join(SUFFIXES)}"
        for name in fits
        if _suffix(name) in _UNREAD_SUFFIXES
    ]
    texts = sorted((name for name in fits if _suffix(name) in SUFFIXES), key=lambda name: (*fits[name].order, name))
    if not texts:
        return None, notes
    languages = {fits[name].language for name in texts}
    if fits[texts[0]].language and len(languages) > 1:
        return None, [*notes, f"no subtitle is read, as several fit: {first_and_more(texts)}"]
    if texts[1:]:
        notes.append(f"not read beside {texts[0]}: {first_and_more(texts[1:])}")
    return media.parent / texts[0], notes


class _Fit(NamedTuple):
    """How a file is a clip's: the lowest `order` first; `language` is "" for a name that states none."""

    language: str
    order: tuple[int, bool, int, int]


def _fit(name: str, media: Path, clips: set[str]) -> _Fit | None:
    stem, suffix = Path(name).stem, _suffix(name)
    is_other_case = not stem.startswith(media.stem)
    # Another clip's text is not this one's: `talk.en.srt` of `talk.en.mp4`, `TALK.srt` of `TALK.mp4`.
    if stem in clips or (stem != media.stem and stem in {Path(clip).stem for clip in clips}):
        return None
    rank = (*SUFFIXES, *_UNREAD_SUFFIXES).index(suffix) if suffix in (*SUFFIXES, *_UNREAD_SUFFIXES) else None
    tag = stem.casefold()
    kind = 0
    for prefix in (media.name.casefold(), media.stem.casefold()):
        if tag == prefix or tag.startswith(f"{prefix}."):
            kind = int(prefix == media.name.casefold())
            tag = tag[len(prefix) + 1 :]
            break
    if rank is None or (tag and not _LANGUAGE.fullmatch(tag)):
        return None
    language = tag.partition(".")[0].partition("-orig")[0]
    return _Fit(language, (2 if tag else kind, is_other_case, len(tag.split(".")), rank))


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
