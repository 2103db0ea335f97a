"""A text shown while its tokens come is the finished text, in whole characters, never a part of a stop text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from affectgpt.bundled import TINY
from affectgpt.core.stop_text import REPLACEMENT, StreamedText, cut_at_stop, find_stop, possible_stop_length
from affectgpt.plugins.llms.tokenizer import byte_tokenizer, read_tokenizer

BYTES, WORDS = byte_tokenizer(), read_tokenizer(str(TINY / "tokenizer"))
TEXTS = st.text(st.sampled_from("ab #\n.它🙂é"), max_size=200)
STOPS = st.lists(st.text("ab #\n它", min_size=1, max_size=4), max_size=3)


def stream_pieces(tokenizer: object, ids: list[int], stops: list[str]) -> list[str]:
    def decode(row: list[int]) -> str:
        return str(tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False))  # type: ignore[attr-defined]

    row = StreamedText(decode, stops)
    pieces = [row.add(token) for token in ids]
    pieces.append(row.end())
    assert "".join(pieces) == cut_at_stop(decode(ids), stops)
    return pieces


@pytest.mark.parametrize("tokenizer", [BYTES, WORDS], ids=["bytes", "words"])
@settings(deadline=None)
@given(text=TEXTS, stops=STOPS)
def test_pieces_make_up_the_finished_text(tokenizer: object, text: str, stops: list[str]) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[operator]
    pieces = stream_pieces(tokenizer, ids, stops)
    assert REPLACEMENT not in "".join(pieces)
    text_so_far = "".join(pieces)
    assert not any(stop in text_so_far for stop in stops if stop == stop.strip())


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 255), max_size=300), stops=STOPS)
def test_bytes_that_are_no_text_come_out_as_they_do_at_once(ids: list[int], stops: list[str]) -> None:
    stream_pieces(BYTES, ids, stops)


@settings(deadline=None)
@given(text=TEXTS, cut=st.integers(0, 3))
def test_half_a_character_at_the_end_is_left_out(text: str, cut: int) -> None:
    ids = BYTES(text, add_special_tokens=False)["input_ids"]
    count = max(0, len(ids) - cut)
    pieces = stream_pieces(BYTES, ids[:count], [])
    assert "".join(pieces) == text.encode()[:count].decode(errors="ignore").strip()


def byte_fallback() -> Tokenizer:
    """A few words, and bytes whose whole run is replacement characters where it is no text."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁the", "▁", "a"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


FALLBACK = byte_fallback()
# Words as single tokens, other texts byte by byte.
PARTS = st.one_of(
    st.integers(1, 80).map(lambda count: [257] * count),
    st.integers(1, 30).map(lambda count: [258] * count),
    st.text("悲しé🙂z", max_size=40).map(lambda text: [1 + byte for byte in text.encode()]),
)


@settings(deadline=None, max_examples=300)
@given(parts=st.lists(PARTS, max_size=6), stops=st.lists(st.text("悲しé", min_size=1, max_size=3), max_size=2))
def test_a_window_does_not_begin_within_a_character(parts: list[list[int]], stops: list[str]) -> None:
    ids = [token for part in parts for token in part]
    row = StreamedText(FALLBACK.decode, stops)
    pieces = [row.add(token) for token in ids] + [row.end()]
    assert "".join(pieces) == cut_at_stop(FALLBACK.decode(ids), stops)


@pytest.mark.parametrize("lead", range(50, 80))
def test_the_window_is_cut_wherever_the_characters_are(lead: int) -> None:
    ids = [257] * lead + [1 + byte for byte in ("悲しい驚愕喜悅" * 12).encode()]
    longest = 0

    def decode(row: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(row))
        return str(FALLBACK.decode(row))

    row = StreamedText(decode, [])
    assert "".join([row.add(token) for token in ids] + [row.end()]) == cut_at_stop(FALLBACK.decode(ids), [])
    assert longest < 100


def test_a_tokens_text_may_depend_on_tokens_before_it() -> None:
    def decode(row: list[int]) -> str:
        return "".join(
            chr(token).upper() if 0 in row[max(0, index - 4) : index] else chr(token) if token else ""
            for index, token in enumerate(row)
        )

    for lead in range(40, 80):
        ids = [97] * lead + [0, *map(ord, "1234")] * 3 + [0, *map(ord, "12bc"), 97, 97]
        row = StreamedText(decode, [])
        assert "".join([row.add(token) for token in ids] + [row.end()]) == decode(ids)


@pytest.mark.parametrize("lead", range(40, 70))
def test_tokens_without_text_do_not_cost_the_blank_after_them(lead: int) -> None:
    def decode(row: list[int]) -> str:
        return str(FALLBACK.decode([token for token in row if token < 900]))

    ids = [257] * lead + [900] * 30 + [257] * 2
    row = StreamedText(decode, [])
    assert "".join([row.add(token) for token in ids] + [row.end()]) == cut_at_stop(decode(ids), [])


def test_text_comes_as_early_as_it_can() -> None:
    ids = BYTES("它s b### c", add_special_tokens=False)["input_ids"]
    assert stream_pieces(BYTES, ids, ["###"])[:11] == ["", "", "它", "s", "", " b", "", "", "", "", ""]


def test_a_long_answer_is_decoded_in_a_window() -> None:
    longest = 0

    def decode(row: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(row))
        return "".join(map(chr, row))

    row = StreamedText(decode, [])
    assert "".join(row.add(97 + index % 20) for index in range(3000)) != "" and longest < 100


SHORT_TEXTS = st.text("ab\n", max_size=12)
SHORT_STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


@given(SHORT_TEXTS, SHORT_STOPS)
@example("aabb", ["abb", "b"])
@example("aab", ["b", "ab"])
def test_the_stop_that_is_complete_first_counts(text: str, stops: list[str]) -> None:
    complete = (
        min(start for stop in stops if (start := end - len(stop)) >= 0 and text[start:end] == stop)
        for end in range(len(text) + 1)
        if any(text[:end].endswith(stop) for stop in stops)
    )
    assert find_stop(text, stops) == next(complete, None)


@given(SHORT_TEXTS, SHORT_TEXTS, SHORT_STOPS)
def test_what_follows_does_not_change_where_a_text_stops(text: str, more: str, stops: list[str]) -> None:
    at = find_stop(text, stops)
    if at is not None:
        assert find_stop(text + more, stops) == at


@given(SHORT_TEXTS, SHORT_TEXTS, SHORT_STOPS)
def test_only_what_is_held_back_may_become_part_of_a_stop(text: str, more: str, stops: list[str]) -> None:
    if find_stop(text, stops) is None:
        length = possible_stop_length(text, stops)
        at = find_stop(text + more, stops)
        assert at is None or at >= len(text) - length
        assert length == 0 or any(stop.startswith(text[len(text) - length :]) for stop in stops)


def test_an_answer_is_cut_and_stripped() -> None:
    assert cut_at_stop("\n They smile. ### more", ["###", "more"]) == "They smile."
    assert cut_at_stop("They smile.\n", []) == "They smile."
