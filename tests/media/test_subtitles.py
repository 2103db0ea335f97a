from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.media import Clip
from affectgpt.media.subtitles import MAX_BYTES, cue_text, read_subtitle
from affectgpt.media.text_file import decode_text
from affectgpt.registry.errors import MediaError

SRT = """1
00:00:00,000 --> 00:00:01,000
<i>Well,</i> {\\an8}hello

2
00:00:01,000 --> 00:00:02,000
I have 3 cats <3
42

3
00:00:02,000 --> 00:00:03,000
I have 3 cats <3
42

4
00:00:03,000 --> 00:00:04,000
<font color="#fff">bye</font>

and good night
"""

VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: red }

NOTE a remark
over two lines

first
00:00.000 --> 00:01.000 align:start
<v Ann>Fish &amp; <c.loud>chips</c>

00:01.000 --> 00:02.000
<00:01.500>Fish &amp; chips

00:02.000 --> 00:03.000
x &lt;i> y
"""


def test_subrip() -> None:
    assert cue_text(SRT, vtt=False) == "Well, hello I have 3 cats <3 42 bye and good night"


def test_webvtt() -> None:
    assert cue_text(VTT, vtt=True) == "Fish & chips x <i> y"


def test_cues_without_blank_lines_and_other_line_ends() -> None:
    text = "1\r\n00:00:00,000 --> 00:00:01,000\r\none\r\n2\r\n00:00:01,000 --> 00:00:02,000\r\ntwo\r\n"
    assert cue_text(text, vtt=False) == "one two"


@pytest.mark.parametrize("opening", ["<a", "{\\", "<", "&"])
def test_a_line_of_opening_brackets_takes_no_quadratic_time(opening: str) -> None:
    # With a pattern that searches on past the next opening bracket this takes minutes.
    assert cue_text("00:00:00,000 --> 00:00:01,000\n" + opening * 300_000, vtt=True)


@pytest.fixture
def film(talking: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(talking, tmp_path / "a.b.mp4"))


def test_the_argument_wins_over_a_file_and_a_file_over_nothing(film: Path) -> None:
    assert Clip.open(film).subtitle == ""
    film.with_suffix(".txt").write_text("from\n the   text\n", encoding="utf-8")
    assert Clip.open(film).subtitle == "from the text"
    film.with_suffix(".vtt").write_text(VTT, encoding="utf-8")
    film.with_suffix(".srt").mkdir()
    clip = Clip.open(film)
    assert clip.subtitle == "Fish & chips x <i> y" and "subtitle read from a.b.vtt" in clip.notes
    film.with_suffix(".srt").rmdir()
    film.with_suffix(".srt").write_text(SRT, encoding="utf-8")
    assert Clip.open(film).subtitle.startswith("Well, hello")
    assert Clip.open(film, subtitle="given").subtitle == "given"
    given_nothing = Clip.open(film, subtitle="")
    assert given_nothing.subtitle == "" and given_nothing.notes == []


def test_a_sidecar_over_one_mebibyte_is_refused(film: Path) -> None:
    sidecar_file = film.with_suffix(".txt")
    sidecar_file.write_bytes(b"a" * MAX_BYTES)
    assert len(read_subtitle(sidecar_file)[0]) == MAX_BYTES
    sidecar_file.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(MediaError, match="too large") as caught:
        Clip.open(film)
    assert caught.value.problems[0].where == str(sidecar_file)


def test_an_unreadable_sidecar_is_a_media_error(film: Path) -> None:
    with pytest.raises(MediaError, match="cannot be read"):
        read_subtitle(film.parent)
