"""An answer's text up to its stop text: of a whole text, and of one that is still being generated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"
"""What a decoder gives for a part of a character."""
_LONGEST, _KEPT, _MORE = 64, 8, 16


def find_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where in `text` the stop text begins that is complete first (of several, the longest); None without one.

    What is complete first does not depend on how the text came in pieces.
    """
    matches = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(matches)[1] if matches else None


def possible_stop_length(text: str, stops: Sequence[str]) -> int:
    """The number of characters at the end of `text` with which one of `stops` may begin."""
    lengths = (
        length
        for stop in stops
        for length in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """An answer's text: cut before the stop text, without blanks around it.

    Without a stop text, a part of a character at the end is left out, as a server that sends whole characters does.
    """
    end = find_stop(text, stops)
    return (text.rstrip(REPLACEMENT) if end is None else text[:end]).strip()


class StreamedText:
    """The text of an answer while its ids are generated; its pieces, joined, are [cut_at_stop][] of the whole text.

    Kept back until it is settled: half a character, what may be the beginning of a stop text, and blanks that may
    turn out to be the last. Ids are decoded in a window, so that a token of a long answer costs no more than one of a
    short answer; a token's text may depend on some tokens before it. That the text of a row only grows with its ids is
    taken for granted: bytes that are no text, or a text cut within a character, can turn characters that were shown
    into replacement characters in a decoder that reads a run of bytes as a whole.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str]) -> None:
        self._decode, self._stops = decode, stops
        self._window: list[int] = []
        self._read_length, self._pending, self._blank = 0, "", ""
        self._has_text = self.stopped = False
        self.tokens = 0

    def add(self, token: int) -> str:
        """The text that can be shown with one more token, often none."""
        self.tokens += 1
        self._window.append(token)
        text = self._decode(self._window)
        complete = text.rstrip(REPLACEMENT)
        self._pending += complete[self._read_length :]
        self._read_length = max(self._read_length, len(complete))
        if len(self._window) > _LONGEST and complete == text:
            self._shorten(text)
        return self._final_text(last=False)

    def end(self) -> str:
        """The rest, when no more tokens come. Half a character is none."""
        return self._final_text(last=True)

    def _shorten(self, text: str) -> None:
        # A window that begins within a character, or shows nothing, reads on otherwise than the whole does.
        for count in range(_KEPT, _MORE):
            tail = self._decode(self._window[-count:])
            if tail.strip() and text.endswith(tail):
                self._window, self._read_length = self._window[-count:], len(tail)
                return

    def _final_text(self, *, last: bool) -> str:
        if self.stopped:
            return ""
        end = find_stop(self._pending, self._stops)
        self.stopped = end is not None or last
        if end is None:
            end = len(self._pending) - (0 if last else possible_stop_length(self._pending, self._stops))
        text = self._blank + self._pending[:end]
        self._pending = self._pending[end:]
        final = text.rstrip()
        self._blank = text[len(final) :]
        if not self._has_text:
            final = final.lstrip()
        self._has_text = self._has_text or bool(final)
        return final
