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


MORE = {
    "german": ("Können wir später darüber reden, mein Schatz?", "cp850 cp437 cp1252 iso8859-15 mac-roman"),
    "polish": ("Nie wiem, co się stało wczoraj wieczorem, proszę.", "cp1250 iso8859-2 cp852"),
    "czech": ("Nevím, co se včera večer stalo, příteli.", "cp1250 iso8859-2 cp852"),
    "hungarian": ("Nem tudom, mi történt tegnap este, őszintén.", "cp1250 iso8859-2 cp852"),
    "greek": ("Δεν ξέρω τι έγινε χθες το βράδυ.", "cp1253 iso8859-7 cp737 mac-greek"),
    "turkish": ("Neden bana bu kadar kızgınsın, üzgünüm.", "cp1254 iso8859-9 cp857"),
    "hebrew": ("אני לא יודע מה קרה אתמול בלילה.", "cp1255 iso8859-8 cp862"),
    "arabic": ("لا أعرف ماذا حدث الليلة الماضية.", "cp1256 iso8859-6"),
    "russian": ("Не знаю, что случилось вчера вечером.", "cp1251 koi8-r cp866 iso8859-5"),
    "ukrainian": ("Не знаю, що сталося вчора ввечері, її немає.", "cp1251 koi8-u"),
    "thai": ("ฉันไม่รู้ว่าเกิดอะไรขึ้นเมื่อคืน", "tis-620 cp874"),
    "japanese": ("昨夜何があったのか分からない。", "cp932 euc_jp iso2022_jp"),
    "simplified chinese": ("我不知道昨晚发生了什么。", "gb18030 hz"),
    "traditional chinese": ("我不知道昨晚發生了什麼。", "big5"),
    "korean": ("어젯밤에 무슨 일이 있었는지 모르겠어요.", "euc_kr"),
}
UNICODE = "utf-16-le utf-16-be utf-32-le utf-32-be utf-7"


@pytest.mark.parametrize("language", MORE)
@pytest.mark.parametrize("form", ["{}", "1\n00:00:01,000 --> 00:00:02,000\n{}\n", "Kim: {}\r\nKim: {}\r\n"])
def test_the_encodings_of_a_language_are_read_or_refused_and_never_misread_in_silence(language: str, form: str) -> None:
    sentence, encodings = MORE[language]
    text = form.replace("{}", sentence)
    right = 0
    for encoding in f"{encodings} {UNICODE}".split():
        result = read(text.encode(encoding))
        assert result is None or result[1], encoding
        right += result is not None and result[0] == text
    assert right >= len(encodings.split()) + len(UNICODE.split()) - 4


def test_bytes_that_are_utf_32_or_utf_7_by_chance_are_text() -> None:
    for words in ("1+1=2", "C++ - x+y-z", "a+b-c", "1+abc-d", "four"):
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
        b"\x81\xfe\xff",
        bytes(range(128, 256)),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\xfd",
        "情感".encode() + b"\xff" * 9,
        # Private characters in GB 18030.
        "我今天真的很高兴".encode("gb18030") + b"\xaa\xa1",
    ],
)
def test_what_cannot_be_told_is_refused(data: bytes) -> None:
    assert read(data) is None


def test_control_characters_are_no_letters() -> None:
    assert decode_text(b"a word\0\0\0\x1a", FILE) == ("a word", [])
    note = "a.srt is damaged: its control characters are left out"
    assert decode_text(b"a word\0 and\x02 some more of them", FILE) == ("a word and some more of them", [note])
    assert read(b"a\1\2b") is None


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
