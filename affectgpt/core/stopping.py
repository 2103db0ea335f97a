"""Where a text stops: before the first of given texts to be complete, and what of it may not be shown yet."""

from __future__ import annotations

from collections.abc import Sequence


def stop_at(text: str, stops: Sequence[str]) -> int | None:
    """Where in `text` the stop text begins that is complete first (of several, the longest); None without one.

    What is complete first does not depend on how the text came in pieces.
    """
    found = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def held_back(text: str, stops: Sequence[str]) -> int:
    """The number of characters at the end of `text` with which one of `stops` may begin."""
    lengths = (
        length
        for stop in stops
        for length in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)


def finished(text: str, stops: Sequence[str]) -> str:
    """An answer's text: cut before the stop text, without blanks around it."""
    return text[: stop_at(text, stops)].strip()
