"""Text of unknown encoding, with a note wherever what is read is a guess or lost something."""

from __future__ import annotations

import codecs
from pathlib import Path

from affectgpt.media.encoding_guess import LABELS, are_frequent, guess_encoding, holds_no_text
from affectgpt.registry.errors import MediaError

_MARKS = (
    # That of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Begins the letters of encodings in seven bits.
_ESCAPE = b"\x1b$"
# So many letters of two bytes in another encoding may be UTF-8 too.
_BY_CHANCE = 4


def decode_text(data: bytes, path: Path) -> tuple[str, list[str]]:
    """Bytes to text, and notes on what was guessed or lost; `path` is named in them and in errors.

    By the byte order mark, else UTF-8, else as [guess_encoding][] finds. Bytes that do not fit the mark, and a few
    damaged places in UTF-8, become U+FFFD. NUL bytes are removed. The locale of the machine plays no part.

    Raises MediaError when the encoding cannot be told.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, errors="replace")
            return text.replace("\0", ""), _damage(data, text, encoding, path)
    if utf_16 := _utf_16_without_mark(data):
        return data.decode(utf_16), [f"the encoding of {path.name} was guessed: UTF-16"]
    if data.isascii() and _ESCAPE not in data and guess_encoding(data) is None:
        return data.decode("ascii").replace("\0", ""), []
    if not data.isascii():
        text = data.decode("utf-8", errors="replace")
        damaged = text.count("\N{REPLACEMENT CHARACTER}") - data.count("\N{REPLACEMENT CHARACTER}".encode())
        beyond_ascii = len(text) - len(text.encode("ascii", errors="ignore"))
        # Few letters of another encoding are UTF-8 by chance.
        if not damaged or beyond_ascii - damaged >= 2 * damaged > 0:
            notes = _damage(data, text, "utf-8", path)
            if (
                beyond_ascii <= _BY_CHANCE
                and max(text) < "\u0800"
                and (not are_frequent(text) or guess_encoding(data) == "gb18030")
            ):
                notes.append(f"{path.name} is read as UTF-8; its few letters could also be of another encoding")
            return text.replace("\0", ""), notes
    guess = guess_encoding(data)
    if guess is not None:
        text = data.decode(guess, errors="replace").replace("\0", "")
        if "\N{REPLACEMENT CHARACTER}" not in text and not holds_no_text(text):
            return text, [f"the encoding of {path.name} was guessed: {LABELS[guess]}"]
    raise MediaError(
        "the encoding of the text cannot be told",
        where=str(path),
        found="bytes that are no UTF-8, and no likely text in another encoding",
        expected="a text in UTF-8",
        hint="save it again as UTF-8",
    )


def _damage(data: bytes, text: str, encoding: str, path: Path) -> list[str]:
    if "\N{REPLACEMENT CHARACTER}" not in text:
        return []
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return [f"{path.name} is damaged: some of its characters cannot be read"]
    return []


def _utf_16_without_mark(data: bytes) -> str | None:
    # Blanks, digits and line ends have a NUL byte on the same side.
    even, odd = data[::2].count(0), data[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    if len(data) % 2 or max(even, odd) * 40 < len(data) or min(even, odd) * 10 > max(even, odd):
        return None
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text or holds_no_text(text) else encoding
