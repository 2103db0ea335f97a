"""What is printed does not command the terminal."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.cli.printable import aligned, json_text, one_line, printable


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x1b", "\r", "\x7f", "\x9b", "\x85", "\u202e", "\u2066", "\u200f"])
def test_commands_are_masked(letter: str) -> None:
    assert printable(f"a{letter}b") == one_line(f"a{letter}b") == "a\ufffdb"


def test_words_are_left_as_they_are() -> None:
    text = "你好\u3000café \u00a0 \U0001f469\u200d\U0001f52c می\u200cخواهم"
    assert printable(text) == one_line(text) == text
    assert printable("a\n\tb") == "a\n\tb" and one_line("a\n\tb") == "a\ufffd\ufffdb"


def test_line_ends_of_unicode_are_line_ends() -> None:
    assert printable("a\u2028b\u2029c") == "a\nb\nc" and one_line("a\u2028b\u2029c") == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "cp1252", "ascii", "gb18030"])
def test_json_is_json_in_the_encoding_of_standard_output(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", out)
    value = {"text": "它 é 🙂", "file": "a\udcff.mp4"}
    text = json_text(value)
    out.write(text)
    out.flush()
    assert json.loads(out.buffer.getvalue().decode(encoding)) == value  # type: ignore[attr-defined]
    assert ("它" in text) == encoding.lower().startswith("utf")


@given(st.text())
def test_nothing_else_is_lost(text: str) -> None:
    escaped = printable(text)
    assert len(escaped) == len(text) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", escaped)


def test_a_row_is_a_line_whose_columns_are_aligned() -> None:
    rows = [("node", "count", "text"), ("a", "1,000", "a " * 200), ("long name", "2", "\x1b[2J\n")]
    first, second, third = aligned(rows, numbers=[1]).split("\n")
    assert first == "node       count  text" and second == "a          1,000  " + ("a " * 200).rstrip()
    assert third == "long name      2  \ufffd[2J\ufffd"
    for word in ("\u878d\u5408", "cafe\u0301", "\u304b\u3099la", "\u0e01\u0e31sad", "a\u200db\ufe0fcd"):
        assert aligned([[word, "x"], ["four", "y"]]) == f"{word}  x\nfour  y", word
