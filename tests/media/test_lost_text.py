"""Whatever a text file loses or leaves to a guess: the clip has the right words, a note, or an error; never silence."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from affectgpt.media import Clip
from affectgpt.registry.errors import MediaError

WORDS = {
    "en": "I am so happy that you came today",
    "fr": "Je suis très heureux où ça, déjà là",
    "zh": "我今天真的很高興能見到你，謝謝你！",
    "zh-Hans": "我今天真的很高兴能见到你，谢谢你！",
    "ja": "今日は会えて本当に嬉しいです。",
    "ko": "오늘 만나서 정말 기뻐요.",
    "ru": "Я очень рад тебя видеть сегодня.",
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "big5", "cp932", "euc_jp", "euc_kr", "cp1251"]
ENCODINGS += ["koi8-r", "cp1252", "latin-1", "iso8859-15", "cp850", "mac-roman", "iso2022_jp", "utf-32"]
FORMS = {
    "txt": "{0}\n{1}\n",
    "srt": "1\n00:00:01,000 --> 00:00:02,000\n{0}\n\n2\n00:00:02,000 --> 00:00:03,000\n<i>{1}</i>\n",
    "rolling": "1\n00:00:01,000 --> 00:00:02,000\n{0}\n\n2\n00:00:02,000 --> 00:00:03,000\n{0}\n{1}\n",
    "vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\n{0}\n\n00:02.000 --> 00:03.000\n<v A>{1}\n",
    "lrc": "[ar:A]\n[00:01.00]{0}\n[00:02.00]{1}\n",
}


def outcome(film: Path, sidecar: str, content: bytes) -> tuple[str, list[str]] | None:
    """Subtitle and notes of the clip, None when it is refused."""
    (film.parent / sidecar).write_bytes(content)
    try:
        clip = Clip.open(film)
    except MediaError:
        return None
    return clip.subtitle, [note for note in clip.notes if note != f"subtitle read from {sidecar}"]


@pytest.fixture
def film(talking: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(talking, tmp_path / "clip.mp4"))


CHINESE = WORDS["zh"]


@pytest.mark.parametrize(
    ("sidecar", "content", "words", "note"),
    [
        ("clip.srt", CHINESE.encode(), CHINESE, ""),
        ("clip.srt", CHINESE.encode("big5"), CHINESE, "guessed: Big5"),
        ("clip.EN.SRT", b"Tom &amp; Jerry", "Tom & Jerry", ""),
        ("clip.mp4.srt", b"a word", "a word", ""),
        ("clip.txt", FORMS["srt"].format("one", "two").encode(), "one two", ""),
        ("clip.txt", FORMS["lrc"].format("one", "two").encode(), "one two", ""),
        ("clip.srt", FORMS["rolling"].format("one", "two").encode(), "one two", ""),
        ("clip.srt", "très déjà".encode("cp1252"), "très déjà", "guessed: Windows-1252"),
        ("clip.srt", "déjà vu".encode("utf-16-le") + b" \0", "déjà vu", "guessed: UTF-16"),
        ("clip.srt", CHINESE.encode()[:-1], None, "damaged"),
        ("clip.ass", b"Dialogue: x", "", "clip.ass is not read"),
        ("clip.vtt", b"WEBVTT\n\nNOTE x\n", "", "holds no words"),
        ("clip.srt", b"\xff\x00\x80\x81\xfe", None, None),
    ],
)
def test_words_or_a_note_or_an_error(
    film: Path, sidecar: str, content: bytes, words: str | None, note: str | None
) -> None:
    result = outcome(film, sidecar, content)
    if note is None:
        assert result is None
        return
    assert result is not None and words in (result[0], None)
    assert any(note in text for text in result[1]) if note else result[1] == []


@pytest.mark.parametrize("seed", range(120))
def test_any_file_gives_its_words_or_a_word_about_them(film: Path, seed: int) -> None:
    chance = random.Random(seed)
    words = chance.sample([text for name, text in WORDS.items()], 1) * 2
    words[1] = words[1][: len(words[1]) // 2] + "!"
    form = chance.choice(list(FORMS))
    encoding = chance.choice(ENCODINGS)
    name = "clip" + chance.choice(["", ".mp4", ".en", ".zh-Hans"])
    suffix = ".srt" if form == "rolling" else chance.choice([f".{form}", ".txt"])
    text = FORMS[form].format(*words)
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        content = text.encode()
    is_cut = chance.random() < 0.2
    if is_cut:
        content = content[: len(content) * 3 // 4]
    result = outcome(film, name + chance.choice([suffix, suffix.upper()]), content)
    assert result is None or result[1] or result[0] == " ".join(words) or (is_cut and result[0].startswith(words[0]))
