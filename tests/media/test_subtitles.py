from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from affectgpt.media import Clip
from affectgpt.media.subtitles import MAX_BYTES, cue_text, read_subtitle
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


ROLLING = (Path(__file__).parent / "rolling_captions.vtt").read_text(encoding="utf-8")


def srt(*cues: tuple[float, float, str]) -> str:
    def stamp(seconds: float) -> str:
        return f"00:00:{int(seconds):02},{round(seconds % 1 * 1000):03}"

    return "\n".join(
        f"{number}\n{stamp(start)} --> {stamp(end)}\n{text}\n" for number, (start, end, text) in enumerate(cues, 1)
    )


def test_captions_that_roll_are_read_once() -> None:
    assert cue_text(ROLLING, vtt=True) == "I am so happy that you came today thank you"


@pytest.mark.parametrize(
    ("cues", "words"),
    [
        # Two and three lines that roll.
        ([(0, 1, "a"), (1, 2, "a\nb"), (2, 3, "b\nc")], "a b c"),
        ([(0, 1, "a\nb"), (1, 2, "a\nb\nc"), (2, 3, "b\nc\nd")], "a b c d"),
        ([(0, 1, "a\nb"), (1.5, 3, "b\nc")], "a b c"),
        # A cue that grows by words, or is shown again.
        ([(0, 1, "I"), (1, 2, "I am"), (2, 3, "I am here")], "I am here"),
        ([(0, 1, "well\nI"), (1, 2, "well\nI am")], "well I am"),
        ([(0, 1, "I am here"), (1, 1.05, "I am here")], "I am here"),
        ([(0, 1, "I am here"), (0, 1, "I am here")], "I am here"),
        ([(0, 1, "a\nb"), (1, 2, "a\nb")], "a b"),
        ([(0, 1, "a\nb"), (1, 1.01, "b"), (1.01, 2, "b\nc")], "a b c"),
        # Spoken again.
        ([(0, 1, "No."), (2, 3, "No.")], "No. No."),
        ([(0, 1, "No."), (1, 2, "No.")], "No. No."),
        ([(0, 1, "No."), (1, 2, "No."), (2, 3, "No."), (3, 4, "a\nb")], "No. No. No. a b"),
        ([(0, 1, "No."), (1, 2, "No.\nI said no."), (2, 3, "x\ny"), (3, 4, "z\nw")], "No. No. I said no. x y z w"),
        ([(0, 1, "a"), (1, 2, "a\nb"), (2, 3, "b\nb"), (3, 4, "b\nc")], "a b b c"),
        ([(0, 1, "no"), (1, 2, "no I won't"), (2, 3, "x"), (3, 4, "y"), (4, 5, "z")], "no no I won't x y z"),
        ([(0, 1, "No."), (4, 5, "No.\nI said no.")], "No. No. I said no."),
        ([(0, 1, "No.\nNo."), (1, 2, "Yes.")], "No. No. Yes."),
        ([(0, 1, "No."), (1, 2, "No. I won't.")], "No. No. I won't."),
        ([(0, 1, "a\nb"), (1, 2, "a\nc")], "a b a c"),
        ([(0, 1, "a"), (1, 2, "b\na"), (2, 3, "c")], "a b a c"),
    ],
)
def test_what_rolls_is_dropped_and_what_is_said_again_stays(cues: list[tuple[float, float, str]], words: str) -> None:
    assert cue_text(srt(*cues), vtt=False) == words


@pytest.mark.parametrize("seed", range(40))
def test_any_text_that_rolls_is_read_once(seed: int) -> None:
    chance = random.Random(seed)
    # The first word makes each line another one.
    lines = [f"{n} " + " ".join(chance.choices(["no", "yes", "I", "said"], k=3)) for n in range(chance.randint(2, 9))]
    height = chance.randint(2, 4)
    cues: list[tuple[float, float, str]] = []
    time = 0.0
    for number in range(len(lines)):
        window = "\n".join(lines[max(0, number - height + 1) : number + 1])
        if cues and chance.random() < 0.5:
            cues.append((time, time + 0.01, cues[-1][2]))
        start = time + chance.choice([0.0, 0.01, 0.5])
        cues.append((start, start + 1, window))
        time = start + 1
    assert cue_text(srt(*cues), vtt=False) == " ".join(lines)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_said_twice_stays_in_cues_that_touch(seed: int) -> None:
    chance = random.Random(seed)
    said = [chance.choice(["No.", "Yes, yes.", "Help me", "不", "I\nsaid it"]) for _ in range(chance.randint(2, 8))]
    # A cue of two lines that comes twice in a row is one that is shown again.
    said = [text for number, text in enumerate(said) if "\n" not in text or text != said[number - 1]]
    cues = [(float(number), number + 1.0, text) for number, text in enumerate(said)]
    assert cue_text(srt(*cues), vtt=False) == " ".join(" ".join(said).split())


LRC = "[ti:Song]\n[length: 03:00]\n[re:ed]\n[#:remark]\n[offset:+20]\n"
LRC += "[00:12.34]I am\n[00:20.00][00:01.5]so <00:21.00>happy\n\n[00:30]\n[1:00:00.00]now\n"


@pytest.mark.parametrize("name", ["a.txt", "a.lrc", "a.LRC"])
def test_lyrics_are_read_in_the_order_of_their_times(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LRC, encoding="utf-8")
    assert read_subtitle(tmp_path / name) == ("so happy I am so happy now", [])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", SRT, "Well, hello I have 3 cats <3 42 bye and good night"),
        ("a.txt", VTT, "Fish & chips x <i> y"),
        ("a.TXT", "WEBVTT\n\n00:01.000 --> 00:02.000\nTom &amp; Jerry\n", "Tom & Jerry"),
        ("a.srt", VTT, "Fish & chips x <i> y"),
        ("a.srt", srt((0, 1, "Tom &amp; Jerry &lt;3")), "Tom & Jerry <3"),
        (
            "a.txt",
            "He said [laughs] at 10:30 --> now.\n[whispers] Tom &amp; I",
            "He said [laughs] at 10:30 --> now. [whispers] Tom &amp; I",
        ),
        ("a.txt", "[note: none] I am\nfine", "[note: none] I am fine"),
    ],
)
def test_the_content_says_how_a_text_is_read(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_subtitle(tmp_path / name) == (words, [])


DRESSED = {
    "I&#39;m &quot;ok&quot;&nbsp;now&lrm;!": 'I\'m "ok" now!',
    "&#x27;a&#8217; &amp;lt;": "'a’ &lt;",
    "{\\an8}Hello {\\i1}you{\\i0}{\\pos(1,2)\\c&HFF&}": "Hello you",
    "Hi\\Nyou\\hthere": "Hi you there",
    "{\\an7\\p1}m 0 0 l 1 1{\\p0}words": "words",
    "{\\k20}ka{\\k30}ra": "kara",
    "{y:i}{C:$0000FF}Hi": "Hi",
    '<font color="#fff" size=3>Hi</font> <b>you</b>': "Hi you",
    "<v.loud Mary>Hi</v> <c.yellow.bg_blue>you</c> <lang en>all</lang>": "Hi you all",
    "<ruby>漢<rt>kan</rt></ruby>字": "漢字",
    "one<br>two<br/>three": "one two three",
    "a\ufeffb\u200bc\u200e \u00add\u2066e": "abc de",
    "می\u200cخواهم 👨\u200d👩": "می\u200cخواهم 👨\u200d👩",
    "♪ la la ♪ [laughs]": "♪ la la ♪ [laughs]",
    "a < b > c, I <3 you": "a < b > c, I <3 you",
}


@pytest.mark.parametrize("line", DRESSED)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("form", ["srt", "vtt", "sbv in a txt"])
def test_dress_and_line_ends_are_no_words(tmp_path: Path, line: str, ends: str, mark: str, form: str) -> None:
    cues = {
        "srt": "1\n00:00:01,000 --> 00:00:02,000\n{}\n\n2\n00:00:03,000 --> 00:00:04,000\nend\n",
        "vtt": "WEBVTT\n\n00:01.000 --> 00:02.000 align:start\n{}\n\n00:03.000 --> 00:04.000\nend\n",
        "sbv in a txt": "0:00:01.000,0:00:02.000\n{}\n\n0:00:03.000,0:00:04.000\nend\n",
    }
    path = tmp_path / f"a.{form[-3:]}"
    path.write_bytes((mark + cues[form].replace("{}", line)).replace("\n", ends).encode())
    assert read_subtitle(path) == (f"{DRESSED[line]} end", [])


OTHER_FORMS = {
    "SubStation Alpha": "[Script Info]\nTitle: x\n\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,A,,0,0,0,,Hi\n",
    "TTML": '<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"><body><p begin="1s">Hi</p></body></tt>',
    "SAMI": "<SAMI><BODY><SYNC Start=1000><P Class=EN>Hello</BODY></SAMI>",
    "XML or HTML": "<!DOCTYPE html><html><body>Hello</body></html>",
    "MicroDVD": "{1}{25}Hello|you\n{30}{50}all\n",
    "MPL2": "[1][25]Hello|you\n[30][50]all\n",
    "RTF": "{\\rtf1 Hello}",
    "JSON": '{"segments": [{"start": 1, "text": "Hello"}]}',
}


@pytest.mark.parametrize("form", OTHER_FORMS)
@pytest.mark.parametrize("suffix", ["srt", "vtt", "txt", "lrc"])
def test_another_form_is_not_read_and_noted(tmp_path: Path, form: str, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_text(OTHER_FORMS[form], encoding="utf-8")
    words, notes = read_subtitle(tmp_path / f"a.{suffix}")
    assert words == "" and notes == [f"a.{suffix} is not read: it holds {form}, no SubRip, WebVTT, LRC or plain text"]


def test_a_file_without_words_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text("WEBVTT\n\nNOTE nothing is said\n", encoding="utf-8")
    assert read_subtitle(tmp_path / "a.vtt") == ("", ["a.vtt holds no words"])


def test_what_is_guessed_of_a_sidecar_is_a_note_of_the_clip(film: Path) -> None:
    film.with_suffix(".srt").write_bytes(srt((0, 1, "我很高興，謝謝你！我們明天再說吧。")).encode("big5"))
    clip = Clip.open(film)
    assert clip.subtitle == "我很高興，謝謝你！我們明天再說吧。"
    assert clip.notes == ["subtitle read from a.b.srt", "the encoding of a.b.srt was guessed: Big5"]
