"""Text of unknown encoding, with a note wherever what is read is a guess or lost something."""

from __future__ import annotations

import codecs
import re
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
# The end of a file in DOS and the escapes of seven-bit encodings are none of them.
_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MOST_CONTROLS = 8
"""Of so many bytes one may be a control character: a text with more is none."""


def decode_text(data: bytes, path: Path) -> tuple[str, list[str]]:
    """Bytes to text, and notes on what was guessed or lost; `path` is named in them and in errors.

    By the byte order mark, else UTF-8, else as [guess_encoding][] finds. Bytes that do not fit the mark, and a few
    damaged places in UTF-8, become U+FFFD. Control characters are left out. The locale of the machine plays no part.

    Raises MediaError when the encoding cannot be told.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, errors="replace")
            return text.replace("\0", ""), _damage(data, text, encoding, path)
    for wide, name in ((_utf_32_without_mark(data), "UTF-32"), (_utf_16_without_mark(data), "UTF-16")):
        if wide:
            return wide, [f"the encoding of {path.name} was guessed: {name}"]
    if len(controls := _CONTROLS.findall(data.rstrip(b"\0\x1a"))) * _MOST_CONTROLS > len(data):
        raise _cannot_be_told(path)
    text, notes = _narrow_text(data, path)
    if controls and not notes:
        notes = [f"{path.name} is damaged: its control characters are left out"]
    return _CONTROL.sub("", text), notes


def _narrow_text(data: bytes, path: Path) -> tuple[str, list[str]]:
    if data.isascii() and _ESCAPE not in data and guess_encoding(data) is None:
        return data.decode("ascii"), []
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
            return text, notes
    guess = guess_encoding(data)
    if guess is not None:
        text = data.decode(guess, errors="replace")
        if "\N{REPLACEMENT CHARACTER}" not in text and not holds_no_text(text):
            return text, [f"the encoding of {path.name} was guessed: {LABELS[guess]}"]
    raise _cannot_be_told(path)


def _cannot_be_told(path: Path) -> MediaError:
    return MediaError(
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


def _utf_32_without_mark(data: bytes) -> str | None:
    # Three in four bytes are those of no text, so that nothing else is UTF-32 by chance.
    for encoding in ("utf-32-le", "utf-32-be"):
        text = _strictly(data, encoding) if data and not len(data) % 4 else None
        if text is not None:
            return text
    return None


def _utf_16_without_mark(data: bytes) -> str | None:
    if len(data) % 2:
        return None
    # Blanks, digits and line ends have a NUL byte on the same side.
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 40 >= len(data) and min(even, odd) * 10 <= max(even, odd):
        return _strictly(data, "utf-16-le" if odd > even else "utf-16-be")
    # Letters of one script have one byte in common, in many scripts one of a control character.
    if not _CONTROLS.search(data):
        return None
    texts = [text for order in ("utf-16-le", "utf-16-be") if (text := _strictly(data, order)) and are_frequent(text)]
    return texts[0] if len(texts) == 1 else None


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) or holds_no_text(text) else text
