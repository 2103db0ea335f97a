"""What is printed does not command the terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.cli.printable import one_line, printable


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x1b", "\r", "\x7f", "\x9b", "\x85", "\u202e", "\u2066", "\u200f"])
def test_commands_are_masked(letter: str) -> None:
    assert printable(f"a{letter}b") == one_line(f"a{letter}b") == "a\ufffdb"


def test_words_are_left_as_they_are() -> None:
    text = "你好\u3000café \u00a0 \U0001f469\u200d\U0001f52c می\u200cخواهم"
    assert printable(text) == one_line(text) == text
    assert printable("a\n\tb") == "a\n\tb" and one_line("a\n\tb") == "a\ufffd\ufffdb"


@given(st.text())
def test_nothing_else_is_lost(text: str) -> None:
    found = printable(text)
    assert len(found) == len(text) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", found)
