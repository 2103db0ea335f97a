"""Texts of files that are not trusted, so that they do not command the terminal that they are shown on."""

from __future__ import annotations

import unicodedata

# They turn the order of what follows: a name that ends in gpj.exe is shown as exe.jpg.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """`text` with U+FFFD for each control character (but line ends and tabs) and each change of direction."""
    return "".join("\ufffd" if _commands(letter) else letter for letter in text)


def one_line(text: str) -> str:
    """As [printable][], also without line ends, which could pass for lines of ours."""
    return printable(text).replace("\n", "\ufffd").replace("\t", "\ufffd")


def _commands(letter: str) -> bool:
    return letter in _DIRECTIONS or (letter not in "\n\t" and unicodedata.category(letter) == "Cc")
