"""Tells text in Windows-1252, Latin-1 or another Western encoding from the GB 18030 that it is mistaken for."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ASCII = re.compile(r"[\x00-\x7f]+")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_SECOND_IS_ASCII = bytes(range(0x40, 0x7F))


@dataclass
class EncodingEvidence:
    """What text that was decoded as GB 18030 shows: add all of it, then ask.

    In Western text a letter beyond ASCII stands alone: GB 18030 reads it and the ASCII character behind it as one
    character ("na\\xefve" as three letters and one of Chinese). Of Chinese text in traditional characters about a third
    hold an ASCII byte, in simplified ones few.
    """

    letters: int = 0
    with_ascii: int = 0
    ascii_letters: int = 0

    def add(self, text: str) -> None:
        """Count the characters of `text`."""
        letters = _ASCII.sub("", text)
        self.letters += len(letters)
        self.ascii_letters += len(_ASCII_LETTER.findall(text))
        # Of a character of four bytes the second and fourth are digits, which do not count.
        data = letters.encode("gb18030")
        self.with_ascii += len(data) - len(data.translate(None, _SECOND_IS_ASCII))

    @property
    def is_western(self) -> bool:
        """Whether half or more of the characters beyond ASCII hold an ASCII one, among twice as many ASCII letters."""
        return 2 * self.with_ascii >= self.letters > 0 and self.ascii_letters >= 2 * self.letters
