"""Text in the encodings of the world: read right, or noted, or refused; never wrong without a word."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.media.text_file import decode_text
from affectgpt.registry.errors import MediaError

FILE = Path("a.srt")
SENTENCES: dict[str, list[str]] = {}
for row in (Path(__file__).parent / "sentences.tsv").read_text(encoding="utf-8").splitlines():
    SENTENCES.setdefault(row.split("\t")[0], []).append(row.split("\t")[1])

GUESSED = [
    ("traditional chinese", "big5", "Big5"),
    ("traditional chinese", "gb18030", "GB 18030"),
    ("simplified chinese", "gb18030", "GB 18030"),
    ("japanese", "cp932", "Shift-JIS"),
    ("japanese", "euc_jp", "EUC-JP"),
    ("japanese", "iso2022_jp", "ISO-2022-JP"),
    ("simplified chinese", "hz", "HZ"),
    ("korean", "euc_kr", "EUC-KR"),
    ("russian", "cp1251", "Windows-1251"),
    ("russian", "koi8-r", "KOI8-R"),
    ("western", "cp1252", "Windows-1252"),
]


def read(data: bytes) -> tuple[str, list[str]] | None:
    try:
        return decode_text(data, FILE)
    except MediaError as error:
        assert error.problems[0].where == str(FILE) and "cannot be told" in error.problems[0].what
        return None


def subtitles_of(language: str, seed: int, count: int) -> list[str]:
    """Texts of one to five sentences: plain, or as cues."""
    chance = random.Random(f"{language} {seed}")
    texts = []
    for _ in range(count):
        lines = chance.sample(SENTENCES[language], chance.randint(1, 5))
        cues = (f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n<i>{line}</i>\n" for n, line in enumerate(lines, 1))
        texts.append(chance.choice(["\n".join(lines), " ".join(lines), "\n".join(cues), "\r\n".join(lines)]))
    return texts


@pytest.mark.parametrize(("language", "encoding", "label"), GUESSED)
def test_each_sentence_is_read_and_its_encoding_named(language: str, encoding: str, label: str) -> None:
    right = 0
    for sentence in SENTENCES[language]:
        text = read(sentence.encode(encoding, errors="ignore"))
        if sentence.isascii() or text is None:
            right += sentence.isascii()
            continue
        assert text[1], "a guess without a note"
        right += text == (sentence, [f"the encoding of a.srt was guessed: {label}"])
    assert right >= 0.95 * len(SENTENCES[language])


@pytest.mark.parametrize(("language", "encoding", "label"), GUESSED)
@pytest.mark.parametrize("seed", range(2))
def test_subtitles_of_some_sentences_are_read(language: str, encoding: str, label: str, seed: int) -> None:
    texts = subtitles_of(language, seed, 30)
    results = [read(text.encode(encoding)) for text in texts]
    assert all(result is None or result[1] or result[0] == text for text, result in zip(texts, results, strict=True))
    assert sum(result is not None and result[0] == text for text, result in zip(texts, results, strict=True)) >= 29


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_utf_is_read_without_a_note(language: str, encoding: str) -> None:
    for text in subtitles_of(language, 5, 10):
        assert read(text.encode(encoding)) == (text, [])


@pytest.mark.parametrize("mark", [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])
def test_utf_16_with_and_without_its_mark(mark: tuple[str, bytes]) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n他很高兴, naïve\n"
    assert read(mark[1] + text.encode(mark[0])) == (text, [])
    assert read(text.encode(mark[0])) == (text, ["the encoding of a.srt was guessed: UTF-16"])


@pytest.mark.parametrize(
    "words",
    [
        "I don’t care",
        "naïve",
        "naïve façade",
        "café",
        "“Well…” she said",
        "Où ça? Übermut, mañana",
        "¡Hola!",
        "£5",
        "São Paulo",
    ],
)
def test_short_western_text_is_read(words: str) -> None:
    assert read(words.encode("cp1252")) == (words, ["the encoding of a.srt was guessed: Windows-1252"])


@pytest.mark.parametrize(
    "words",
    [
        "T恤和A",
        "朱镕基说话",
        "OK啊yes嗯no",
        "這個時候我們說話",
        "們們這這",
        "你好 café",
        "你好",
        "好",
        "不",
        "😀好",
    ],
)
def test_short_chinese_is_read(words: str) -> None:
    assert read(words.encode("gb18030")) == (words, ["the encoding of a.srt was guessed: GB 18030"])


def test_few_letters_that_are_utf_8_by_chance_are_noted() -> None:
    note = "a.srt is read as UTF-8; its few letters could also be of another encoding"
    assert read("谢谢".encode("gb18030")) == ("лл", [note])
    for words, encoding in (("翻譯", "big5"), ("年", "euc_jp"), ("Ні", "cp1251")):
        result = read(words.encode(encoding))
        assert result is not None and result[1] == [note]
    for words in ("café", "déjà vu", "naïve", "ну", "мама мыла раму", "Привет!", "Ça va", "señor…", "łódź", "çığ"):
        assert read(words.encode()) == (words, [])


def test_damage_is_noted() -> None:
    cut = "今天下午要下雨我们需要牛奶".encode()[:-1]
    assert read(cut) == (
        "今天下午要下雨我们需要牛\N{REPLACEMENT CHARACTER}",
        ["a.srt is damaged: some of its characters cannot be read"],
    )
    text, notes = decode_text(b"\xff\xfea\x00\x00\xd8b\x00", FILE)
    assert text == "a\N{REPLACEMENT CHARACTER}b" and "damaged" in notes[0]
    assert decode_text("a\N{REPLACEMENT CHARACTER}é".encode(), FILE)[1] == [], "it was there when it was saved"


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xff",
        bytes(range(128, 256)),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\xfd",
        "情感".encode() + b"\xff" * 9,
        # Private characters in GB 18030.
        "我今天真的很高兴".encode("gb18030") + b"\xaa\xa1",
    ],
)
def test_what_cannot_be_told_is_refused(data: bytes) -> None:
    assert read(data) is None


def test_nul_bytes_are_no_letters() -> None:
    assert decode_text(b"a\0b", FILE) == ("ab", [])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_text_or_an_error(data: bytes) -> None:
    result = read(data)
    assert result is None or isinstance(result[0], str)
    # What is no UTF-8 is never read without a word.
    if result is not None and not result[1]:
        data.removeprefix(b"\xff\xfe").decode("utf-8", errors="strict" if data[:1] < b"\xfe" else "ignore")


@pytest.mark.parametrize("language", ["traditional chinese", "japanese", "korean", "russian"])
def test_other_encodings_of_the_same_letters_are_never_read_in_silence(language: str) -> None:
    encodings = ["big5", "big5hkscs", "gbk", "gb2312", "cp932", "euc_jp", "euc_kr", "johab", "cp1251", "cp866"]
    encodings += ["mac_cyrillic", "iso8859_5", "koi8_u", "hz", "utf-16-le", "utf-16-be", "cp037"]
    for encoding in encodings:
        for text in subtitles_of(language, 7, 5):
            try:
                data = text.encode(encoding)
            except UnicodeEncodeError:
                continue
            result = read(data)
            assert result is None or result[1] or result[0] == text, encoding


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "cp932", "euc_kr", "koi8-r"])
def test_a_long_line_is_judged_by_its_beginning(encoding: str) -> None:
    languages = {"gb18030": "simplified chinese", "big5": "traditional chinese", "cp932": "japanese"}
    languages |= {"euc_kr": "korean", "koi8-r": "russian"}
    text = "".join(SENTENCES[languages[encoding]]).replace(" ", "") * 100
    for start in ("", "a"):
        result = read((start + text).encode(encoding))
        assert result is not None and result[0] == start + text
