"""A text shown while its tokens come is the finished text, in whole characters, never a part of a stop text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.bundled import TINY
from affectgpt.core.row_text import HALF, RowText
from affectgpt.core.stopping import finished
from affectgpt.plugins.llms.tokenizer import byte_tokenizer, read_tokenizer

BYTES, WORDS = byte_tokenizer(), read_tokenizer(str(TINY / "tokenizer"))
TEXTS = st.text(st.sampled_from("ab #\n.它🙂é"), max_size=200)
STOPS = st.lists(st.text("ab #\n它", min_size=1, max_size=4), max_size=3)


def shown(tokenizer: object, ids: list[int], stops: list[str]) -> list[str]:
    def decode(row: list[int]) -> str:
        return str(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False))  # type: ignore[attr-defined]

    row = RowText(decode, stops)
    pieces = [row.add(token) for token in ids]
    pieces.append(row.end())
    assert "".join(pieces) == finished(decode(ids), stops)
    return pieces


@pytest.mark.parametrize("tokenizer", [BYTES, WORDS], ids=["bytes", "words"])
@settings(deadline=None)
@given(text=TEXTS, stops=STOPS)
def test_pieces_make_up_the_finished_text(tokenizer: object, text: str, stops: list[str]) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    pieces = shown(tokenizer, ids, stops)
    assert HALF not in "".join(pieces)
    known = "".join(pieces)
    assert not any(stop in known for stop in stops if stop == stop.strip())


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 255), max_size=300), stops=STOPS)
def test_bytes_that_are_no_text_come_out_as_they_do_at_once(ids: list[int], stops: list[str]) -> None:
    shown(BYTES, ids, stops)


def test_text_comes_as_early_as_it_can() -> None:
    ids = BYTES("它s b### c", add_special_tokens=False)["input_ids"]
    assert shown(BYTES, ids, ["###"])[:11] == ["", "", "它", "s", "", " b", "", "", "", "", ""]


def test_a_long_answer_is_decoded_in_a_window() -> None:
    longest = 0

    def decode(row: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(row))
        return "".join(map(chr, row))

    row = RowText(decode, [])
    assert "".join(row.add(97 + index % 20) for index in range(3000)) != "" and longest < 100
