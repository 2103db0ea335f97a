"""Texts as they are written to a terminal that they must not command, and as JSON that stays JSON."""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

from affectgpt.cli.standard_streams import RESULT

# They turn the order of what follows: a name that ends in gpj.exe is shown as exe.jpg.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_ENDS = str.maketrans("\u2028\u2029", "\n\n")


def printable(text: str) -> str:
    """`text` with U+FFFD for each control character (but line ends and tabs) and each change of direction.

    The line and paragraph ends of Unicode become a plain line end.
    """
    return "".join("\ufffd" if _commands(letter) else letter for letter in text.translate(_LINE_ENDS))


def one_line(text: str) -> str:
    """As [printable][], also without line ends, which could pass for lines of ours."""
    return printable(text).replace("\n", "\ufffd").replace("\t", "\ufffd")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON for standard output; in ASCII where that does not take all letters."""
    encoding = RESULT.encoding or "utf-8"
    return json.dumps(value, indent=indent, ensure_ascii=codecs.lookup(encoding).name != "utf-8")


def aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """The rows as lines of aligned columns, those in `numbers` aligned at their end. Not wrapped: a row is a line."""
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - _width(cell))
            cells.append(blanks + cell if index in numbers else cell + blanks)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """How many cells of a terminal `text` takes: two a wide letter, none a mark on another letter or a joiner."""
    letters = [letter for letter in text if unicodedata.category(letter) not in ("Mn", "Me", "Cf")]
    return len(letters) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in letters)


def _commands(letter: str) -> bool:
    return letter in _DIRECTIONS or (letter not in "\n\t" and unicodedata.category(letter) == "Cc")
