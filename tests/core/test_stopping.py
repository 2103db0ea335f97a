"""Where a text stops, against the plain definition: the stop text that is complete first."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from affectgpt.core.stopping import finished, held_back, stop_at

TEXTS = st.text("ab\n", max_size=12)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)


@given(TEXTS, STOPS)
@example("aabb", ["abb", "b"])
@example("aab", ["b", "ab"])
def test_the_stop_that_is_complete_first_counts(text: str, stops: list[str]) -> None:
    complete = (
        min(start for stop in stops if (start := end - len(stop)) >= 0 and text[start:end] == stop)
        for end in range(len(text) + 1)
        if any(text[:end].endswith(stop) for stop in stops)
    )
    assert stop_at(text, stops) == next(complete, None)


@given(TEXTS, TEXTS, STOPS)
def test_what_follows_does_not_change_where_a_text_stops(text: str, more: str, stops: list[str]) -> None:
    at = stop_at(text, stops)
    if at is not None:
        assert stop_at(text + more, stops) == at


@given(TEXTS, TEXTS, STOPS)
def test_only_what_is_held_back_may_become_part_of_a_stop(text: str, more: str, stops: list[str]) -> None:
    if stop_at(text, stops) is None:
        held = held_back(text, stops)
        at = stop_at(text + more, stops)
        assert at is None or at >= len(text) - held
        assert held == 0 or any(stop.startswith(text[len(text) - held :]) for stop in stops)


def test_an_answer_is_cut_and_stripped() -> None:
    assert finished("\n They smile. ### more", ["###", "more"]) == "They smile."
    assert finished("They smile.\n", []) == "They smile."
