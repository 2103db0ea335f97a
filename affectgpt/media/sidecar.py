"""The text file beside a clip: which one is read, and what is said of those that are not."""

from __future__ import annotations

import os
import re
import unicodedata
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
_MARKS = "forced sdh cc hi default auto orig original generated asr commentary full"
# BCP 47: a language, then script, region and variants. Marks of what the text is stand before or behind it.
_LANGUAGE = rf"(?:[a-z]{{2}}|{'|'.join(_THREE_LETTERS.split())}|{'|'.join(_NAMES.split())})(?:[-_][a-z0-9]{{2,8}})*"
_MARK = rf"(?:{'|'.join(_MARKS.split())})"
_TAG = re.compile(rf"(?:{_MARK}\.)*(?:{_LANGUAGE}(?:[._ -]{_MARK})*|{_MARK}(?:\.{_MARK})*)")
# What stands between a clip's name and its tag: "clip.en", "clip_en", "clip-en", "clip (English)", "clip [en]".
_TAGGED = re.compile(r"[._-]\s?(?P<tag>.+)|\s?[(\[](?P<inner>[^()\[\]]+)[)\]]", re.DOTALL)
_STRAY = re.compile(r"[._ -].*(?:\.srt|\.vtt|\.lrc|\.txt)\Z", re.DOTALL)
_FOLDERS = ("subs", "sub", "subtitles", "subtitle", "captions")


def find_sidecar(media: Path) -> tuple[Path | None, list[str]]:
    """The text file of a clip, or None, and notes on the files that could be it and are not read.

    Of `clip.mp4`: `clip.srt`, else `clip.mp4.srt`, else one with a language or a mark of what it is, as `clip.en.srt`,
    `clip_en.srt`, `clip (English).srt`, `clip.mp4.zh-Hans.srt` and `clip.en.forced.srt`; each with the suffixes of
    [SUFFIXES][] in their order, in any case and either form of Unicode. Of files in two languages none is read, nor
    are those in a folder of subtitles beside the clip.
    """
    try:
        folder_names = sorted(os.listdir(media.parent))
    except OSError:
        return None, []
    start = _folded(media.stem)
    names = [name for name in folder_names if _folded(name).startswith(start) and name != media.name]
    clips = {name for name in names if _suffix(name) not in (*SUFFIXES, *_UNREAD_SUFFIXES)}
    stems = {unicodedata.normalize("NFC", stem) for name in clips for stem in (name, Path(name).stem)}
    stems.discard(unicodedata.normalize("NFC", media.stem))
    fits = {name: fit for name in names if (fit := _fit(name, media, stems)) and (media.parent / name).is_file()}
    notes = [
        f"{name} is not read: subtitles are read from {', '.join(SUFFIXES)}"
        for name in fits
        if _suffix(name) in _UNREAD_SUFFIXES
    ]
    strays = [name for name in names if name not in fits and _STRAY.match(_folded(name)[len(start) :])]
    strays = [name for name in strays if unicodedata.normalize("NFC", Path(name).stem) not in stems]
    if strays:
        notes.append(f"not read, as the name is not the clip's with a language: {first_and_more(strays)}")
    notes += _in_folders(media, [name for name in folder_names if name.lower() in _FOLDERS])
    texts = sorted((name for name in fits if _suffix(name) in SUFFIXES), key=lambda name: (*fits[name].order, name))
    if not texts:
        return None, notes
    languages = {fits[name].language for name in texts} - {""}
    if fits[texts[0]].language and len(languages) > 1:
        return None, [*notes, f"no subtitle is read, as several fit: {first_and_more(texts)}"]
    if texts[1:]:
        notes.append(f"not read beside {texts[0]}: {first_and_more(texts[1:])}")
    return media.parent / texts[0], notes


def _in_folders(media: Path, folders: list[str]) -> list[str]:
    """Notes on the texts of the clip in folders of subtitles: `Subs/clip.srt`, `Subs/clip/2_English.srt`."""
    notes = []
    for folder in folders:
        names = _texts_in(media.parent / folder)
        texts = [name for name in names if _fit(name, media, set())]
        texts += [f"{media.stem}/{name}" for name in _texts_in(media.parent / folder / media.stem)]
        if texts:
            notes.append(
                f"not read, as it does not lie beside the clip: {first_and_more([f'{folder}/{n}' for n in texts])}"
            )
    return notes


def _texts_in(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if _suffix(name) in (*SUFFIXES, *_UNREAD_SUFFIXES))
    except OSError:
        return []


class _Fit(NamedTuple):
    """How a file is a clip's: the lowest `order` first; `language` is "" for a name that states none."""

    language: str
    order: tuple[int, bool, bool, int, int]


def _fit(name: str, media: Path, other_clips: set[str]) -> _Fit | None:
    stem, suffix = _folded(Path(name).stem), _suffix(name)
    suffixes = (*SUFFIXES, *_UNREAD_SUFFIXES)
    # Another clip's text is not this one's: `talk.en.srt` of `talk.en.mp4`, `TALK.srt` of `TALK.mp4`.
    if suffix not in suffixes or unicodedata.normalize("NFC", Path(name).stem) in other_clips:
        return None
    full_name, own_stem = _folded(media.name), _folded(media.stem)
    prefix = full_name if stem.startswith(full_name) else own_stem
    if not stem.startswith(prefix):
        return None
    behind = stem[len(prefix) :]
    tagged = _TAGGED.fullmatch(behind)
    tag = (tagged["tag"] or tagged["inner"]) if tagged else ""
    if behind and not _TAG.fullmatch(tag):
        return None
    parts = re.split(r"[._ ]", tag)
    marks = [part for part in parts if re.fullmatch(_MARK, part)]
    language = next((part.partition("-orig")[0] for part in parts if part and part not in marks), "")
    kind = 2 if tag else int(prefix == full_name)
    own_name = unicodedata.normalize("NFC", media.stem)
    is_other_case = not unicodedata.normalize("NFC", name).startswith(own_name)
    return _Fit(language, (kind, is_other_case, "forced" in marks, len(parts), suffixes.index(suffix)))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
