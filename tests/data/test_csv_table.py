"""Tables as people save them are read; what could lose or confuse a row is told."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.data import csv_table as table
from affectgpt.data.csv_table import encoding_of, is_safe_name, read_column
from affectgpt.registry.errors import DataError, Problem

TEXT = 'name,chinese,n\na,"你好, 世界",1\nb,火车九点半开。,2\n'
WORDS = {"a": "你好, 世界", "b": "火车九点半开。"}


def read(path: Path, content: bytes | str, column: str = "chinese") -> dict[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems: list[Problem] = []
    values = read_column(path, column, problems)
    assert not problems and values is not None, problems
    return values


def message_of(path: Path, content: bytes | str, column: str = "chinese") -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems: list[Problem] = []
    read_column(path, column, problems)
    assert problems and all(str(path) in problem.where for problem in problems)
    return "\n".join(map(str, problems))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    assert read(tmp_path / "t.csv", TEXT.replace("\n", ends).encode(encoding)) == WORDS


def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_CHUNK", 7)
    late = "name,chinese\n" + "".join(f"n{number},words\n" for number in range(100)) + "z,你好\n"
    path = tmp_path / "t.csv"
    assert read(path, late.encode("gb18030"))["z"] == "你好" and encoding_of(path) == "gb18030"
    assert read(path, late.encode())["z"] == "你好" and encoding_of(path) == "utf-8-sig"


@pytest.mark.parametrize("content", [TEXT.encode("utf-16"), b"name,chinese\na,\xff\xfe\n", "a,é\n".encode("latin-1")])
def test_other_encodings_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "cannot be read" in message_of(tmp_path / "t.csv", content)


WESTERN = ("I don’t care", "naïve", "“Well…” she said", "Café, mañana, Übermut", "it’s", "Ça va? Où ça?")


@pytest.mark.parametrize("words", WESTERN)
@pytest.mark.parametrize("chunk", [1, 3, 2**20])
def test_western_text_is_not_read_as_chinese(
    tmp_path: Path, words: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_CHUNK", chunk)
    text = message_of(tmp_path / "t.csv", f'name,chinese\na,"{words}"\nb,words\n'.encode("cp1252"))
    assert "Windows-1252" in text


CHINESE = (
    "我不知道",
    "T恤和A和B",
    "朱镕基说话",
    "OK啊yes嗯no",
    "這個時候我們說話",
    "café 咖啡",
    "他说：don't",
    "😀好",
    "今天下午要下雨我们需要牛奶朱镕基",
)


@pytest.mark.parametrize("words", CHINESE)
def test_chinese_among_english_is_read(tmp_path: Path, words: str) -> None:
    assert read(tmp_path / "t.csv", f"name,chinese\na,{words}\n".encode("gb18030")) == {"a": words}


IN_UTF8 = "name,chinese\na,今天下午要下雨我们需要牛奶\n".encode()


@pytest.mark.parametrize("content", [IN_UTF8[:-2], IN_UTF8[:-3], IN_UTF8[:-1] + "世界\n".encode("gb18030")])
@pytest.mark.parametrize("chunk", [5, 2**20])
def test_damaged_utf8_is_not_taken_for_another_encoding(
    tmp_path: Path, content: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_CHUNK", chunk)
    assert "damaged or cut off" in message_of(tmp_path / "t.csv", content)


def test_an_index_column_without_a_name_is_no_obstacle(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", ",name,chinese\n0,a,x\n1,b,y\n") == {"a": "x", "b": "y"}


def test_a_table_without_rows_is_empty_or_lacks_its_column(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", "name,chinese\n") == {}
    assert "no column chinese" in message_of(tmp_path / "t.csv", "name,english\n")
    assert "no column chinese, name" in message_of(tmp_path / "t.csv", "")


def test_a_missing_table_is_none_without_a_problem(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert read_column(tmp_path / "nowhere.csv", "chinese", problems) is None and not problems


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name,chinese\na,x, y\n", "line 2: a line has more fields"),
        ("name,chinese\na,x\nb\n", "1: line 3: b"),
        ("name,chinese,chinese\na,x,y\n", "columns that repeat"),
        ("name,chinese\na,x\na,y\n", "names that repeat"),
        ("name,chinese\n../a,x\n", "not plain file names"),
        ('name,chinese\na,"x" y\n', "cannot be read"),
        ('name,chinese\na,"x\n', "cannot be read"),
        ("name,chinese\na," + "x" * 1_000_001 + "\n", "cannot be read"),
    ],
)
def test_what_could_lose_a_row_is_told(tmp_path: Path, content: str, words: str) -> None:
    assert words in message_of(tmp_path / "t.csv", content)


def test_a_blank_beyond_the_header_is_no_obstacle(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", "name,chinese\na,x,\n\nb,y,,\n") == {"a": "x", "b": "y"}


def test_a_pipe_and_a_table_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="a pipe"):
        encoding_of(tmp_path / "pipe")
    monkeypatch.setattr(table, "LARGEST_TABLE", 10)
    assert "too large" in message_of(tmp_path / "t.csv", TEXT)


def test_the_limit_of_a_field_is_set_back(tmp_path: Path) -> None:
    before = csv.field_size_limit(123_456)
    try:
        message_of(tmp_path / "t.csv", "name,chinese\na," + "x" * 1_000_001)
        read(tmp_path / "t.csv", TEXT)
        message_of(tmp_path / "t.csv", "name,english\na,x\nb,y\n")
        assert csv.field_size_limit() == 123_456
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize("name", ["a\x9b", "a\u202eb", "\u200ba", "a\x7f", "a\n", "a\ud800", "\ufeffa", "a" * 256])
def test_what_is_not_seen_is_no_plain_name(name: str) -> None:
    assert not is_safe_name(name)


def test_names_of_any_script_are_plain() -> None:
    assert all(map(is_safe_name, ["a 1", "你好", "a\u3000b", "café", "é" * 255, ".a", "x\U0001f600"]))


def test_a_long_name_is_told_short(tmp_path: Path) -> None:
    assert len(message_of(tmp_path / "t.csv", "name,chinese\n" + f"{'x' * 500_000}\x1b,y\n" * 5)) < 1000


@given(st.text(max_size=20))
def test_a_plain_name_stays_in_its_folder(name: str) -> None:
    if is_safe_name(name):
        assert os.path.dirname(os.path.normpath(os.path.join("folder", name))) == "folder"


@pytest.mark.parametrize(
    ("encoding", "words", "label"),
    [
        ("big5", "我很高興，謝謝你！我們明天再說吧。", "Big5"),
        ("cp932", "今日は会えて本当に嬉しいです。", "Shift-JIS"),
        ("euc_kr", "오늘 만나서 정말 기뻐요.", "EUC-KR"),
        ("cp1251", "Я очень рад тебя видеть, спасибо!", "Windows-1251"),
        ("koi8-r", "Я очень рад тебя видеть, спасибо!", "KOI8-R"),
    ],
)
@pytest.mark.parametrize("rows_before", [0, 5000])
def test_tables_of_other_languages_are_refused_by_name(
    tmp_path: Path, encoding: str, words: str, label: str, rows_before: int
) -> None:
    content = "name,chinese\n" + "".join(f"n{row},words\n" for row in range(rows_before)) + f'z,"{words}"\n' * 3
    assert f"text in {label}" in message_of(tmp_path / "t.csv", content.encode(encoding))


def test_a_long_line_is_sampled_between_its_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_SAMPLE_LINE", 61)
    words = "今天下午要下雨，我们需要牛奶" * 8
    assert read(tmp_path / "t.csv", f"name,n,chinese\ra,1,我们\rb,2,{words}\r".encode("gb18030"))["b"] == words


def test_private_characters_are_no_chinese(tmp_path: Path) -> None:
    content = "name,chinese\na,我今天真的很高兴\n".encode("gb18030") + b"b,\xaa\xa1\n"
    assert "cannot be read" in message_of(tmp_path / "t.csv", content)
