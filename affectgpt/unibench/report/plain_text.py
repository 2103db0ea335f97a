"""Text from outside, made safe to show anywhere: no control codes, one line, not endless.

Escaping for a format (HTML, LaTeX, Markdown) is that format's own; this comes before it.
"""

from __future__ import annotations

import unicodedata

LABEL, TEXT = 60, 600
"""The longest name, and the longest text, that a report shows, in characters."""

_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")
# Marks that turn the direction of what follows could make a label read as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe_text(text: str, limit: int = TEXT) -> str:
    """`text` on one line, its control codes shown as U+FFFD; cut to `limit` characters and marked when longer."""
    head = text[: limit + 1]
    line = " ".join("".join(_safe_character(character) for character in head).split(" ")).strip()
    if len(text) <= limit:
        return line
    return f"{line[:limit].rstrip()} … [cut: {len(text):,} characters]"


def label(text: str) -> str:
    """A name or a label as [safe_text][] shows it, cut with an ellipsis only; "(empty)" for the empty text."""
    line = safe_text(text[: LABEL + 1], LABEL + 1)
    return (f"{line[: LABEL - 1]}…" if len(text) > LABEL else line) or "(empty)"


def _safe_character(character: str) -> str:
    if character in _SPACES:
        return " "
    if character in _TURNING or unicodedata.category(character) in {"Cc", "Cs", "Cn", "Co"}:
        return "\ufffd"
    return character
