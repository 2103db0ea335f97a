"""Guess the encoding of text that states none, by how frequent its letters are in the languages written in it."""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LABELS = {
    "gb18030": "GB 18030",
    "big5hkscs": "Big5",
    "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "hz": "HZ",
    "utf-7": "UTF-7",
    "cp949": "EUC-KR",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "cp1252": "Windows-1252",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp1257": "Windows-1257",
    "cp874": "Windows-874",
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "iso8859-5": "ISO 8859-5",
    "cp866": "DOS-866",
    "cp1125": "DOS-1125",
    "mac_roman": "Mac Roman",
    "cp850": "DOS-850",
    "cp852": "DOS-852",
    "cp857": "DOS-857",
    "cp737": "DOS-737",
    "cp862": "DOS-862",
    "iso8859-2": "ISO 8859-2",
    "iso8859-6": "ISO 8859-6",
    "iso8859-7": "ISO 8859-7",
}
"""Python's names of the encodings that are guessed, and what a reader calls them."""

# Costs are in nats, -log of a probability, and were set on sentences of 24 languages in 17 encodings.
_PRIOR = {"gb18030": 0.0, "cp1252": 0.0, "cp932": 2.0, "cp949": 2.0, "cp1251": 2.0, "big5hkscs": 2.5}
_PRIOR |= {"euc_jp": 4.0, "cp874": 5.0, "cp1257": 5.0}
_PRIOR |= {"koi8-r": 6.0, "koi8-u": 6.0, "iso8859-5": 6.0, "cp866": 6.0}
_PRIOR |= dict.fromkeys(("cp1125", "cp850", "cp852", "cp857", "cp737", "cp862", "mac_roman"), 6.0)
_PRIOR |= dict.fromkeys(("iso8859-2", "iso8859-6", "iso8859-7"), 4.0)
_PRIOR_OF_OTHERS = 3.0
_MARGIN, _MARGIN_OF_LIKELIEST = 2.0, 0.4
_LATIN = ("cp1250", "cp1252", "cp1254", "cp1257", "iso8859-2", "cp850", "cp852", "cp857", "mac_roman")
_SAMPLE_BYTES = 6000

_UNLISTED, _UNLISTED_IDEOGRAPH, _ACCENT_AMONG_IDEOGRAPHS = 12.0, 11.0, 9.0
_PUNCTUATION_COST, _OPENING_COST = 4.5, 2.5
_PUNCTUATION = "，。？！、：；（）「」『』《》“”‘’…—–～·・　«»„№•♪♫€£¥°¿¡©®±×÷§\xa0"
_FIRST_CAPITAL, _NEXT_CAPITAL, _CAPITAL_IN_WORD = 2.5, 0.3, 5.0
_ACCENTS_SIDE_BY_SIDE = 3.0
_WORD_OF_ONE_LETTER = "àèéóòêÀÈÉÓ"
_ISOLATED_ACCENT = re.compile(r"(?<![^\W\d_])(?![A-Za-z])[^\W\d_](?![^\W\d_])")
_SYMBOL_IN_WORD = re.compile(r"[A-Za-z][°¡¿«»„№•§±×÷©®]+[A-Za-z]")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_TAG = re.compile(rb"</?[A-Za-z][\x20-\x3b\x3d\x3f-\x7e]*>")
_BY_CHANCE = 2
# Encodings whose bytes are all ASCII, and what begins their letters.
_SEVEN_BITS = {"iso2022_jp": b"\x1b$", "hz": b"~{", "utf-7": b"+"}


@dataclass(frozen=True)
class _Language:
    """The costs of a language's letters beyond ASCII.

    `beside_ascii` is the cost of such a letter next to one of ASCII, `highest_mean` that of the mean letter above which
    a text is not in this language.
    """

    encodings: tuple[str, ...]
    letters: dict[str, float]
    is_latin: bool
    is_ideographic: bool
    beside_ascii: float
    highest_mean: float

    def cost(self, text: str) -> tuple[float, bool]:
        """The cost of all of `text`, and whether its letters beyond ASCII are plausible."""
        total = of_letters = 0.0
        count = 0
        before = " "
        for letter in text:
            if letter < "\x80":
                total += _ascii_cost(letter)
            else:
                cost = self._letter_cost(letter, before)
                total += cost
                if letter not in _PUNCTUATION:
                    of_letters += cost
                    count += 1
            if (letter < "\x80") != (before < "\x80") and letter.isalpha() and before.isalpha():
                total += self.beside_ascii
            before = letter
        if self.is_latin:
            isolation = sum(1.0 if letter in _WORD_OF_ONE_LETTER else 3.0 for letter in _ISOLATED_ACCENT.findall(text))
            total += isolation + 3.0 * len(_SYMBOL_IN_WORD.findall(text))
            of_letters += isolation
        elif not self.is_ideographic:
            total += min(12.0, max(0.0, len(_ASCII_LETTER.findall(text)) - count))
        return total, of_letters <= self.highest_mean * count

    def _letter_cost(self, letter: str, before: str) -> float:
        if letter in _PUNCTUATION:
            return _OPENING_COST if self.is_latin and letter in "¡¿" else _PUNCTUATION_COST
        accents = _ACCENTS_SIDE_BY_SIDE if self.is_latin and before > "\x7f" and before.isalpha() else 0.0
        if letter in self.letters:
            return self.letters[letter] + accents
        if letter.lower() in self.letters:
            capital = _CAPITAL_IN_WORD if before.islower() else _NEXT_CAPITAL if before.isupper() else _FIRST_CAPITAL
            return self.letters[letter.lower()] + capital + accents
        if self.is_ideographic and letter.isalpha():
            return _UNLISTED_IDEOGRAPH if letter > "\u024f" else _ACCENT_AMONG_IDEOGRAPHS
        return _UNLISTED + accents


def _ascii_cost(letter: str) -> float:
    if letter.isalpha():
        return 3.2
    if letter == " ":
        return 1.8
    return 4.0 if letter in "\r\n\t,.!?'\"-:;()0123456789" else 7.0


@cache
def _languages() -> tuple[_Language, ...]:
    lines = files("affectgpt.media").joinpath("frequent_letters.txt").read_text(encoding="utf-8").splitlines()
    return tuple(_language(*line.split("\t")[1:]) for line in lines if not line.startswith("#"))


def _language(encodings: str, letters: str) -> _Language:
    if len(letters) > 100:
        # Zipf's law.
        scale = sum(1 / (rank + 10) for rank in range(len(letters)))
        costs = [math.log((rank + 10) * scale) for rank in range(len(letters))]
        return _Language(tuple(encodings.split()), dict(zip(letters, costs, strict=True)), False, True, 3.0, 9.6)
    is_latin = unicodedata.name(letters[0]).startswith("LATIN")
    costs = [4.2 + 0.3 * rank if is_latin else 2.2 + 0.12 * rank for rank in range(len(letters))]
    return _Language(
        tuple(encodings.split()),
        dict(zip(letters, costs, strict=True)),
        is_latin,
        False,
        0.0 if is_latin else 5.0,
        9.0 if is_latin else 5.6,
    )


def guess_encoding(data: bytes) -> str | None:
    """The likeliest encoding of `data`, one of [LABELS][]; None when it cannot be told.

    For bytes that are no UTF-8 and have no byte order mark, and for those of ISO-2022-JP and HZ, which are ASCII.
    None also when the text holds unassigned, private or control characters in every encoding, when its letters in the
    likeliest one are not those of any language, and when another text is about as likely.
    """
    if data.isascii():
        readings = ((name, _decode(data, name)) for name, start in _SEVEN_BITS.items() if start in data)
        return next((name for name, text in readings if text and (name != "utf-7" or _is_utf_7(text))), None)
    ranking = sorted(_candidates(*_sample(data)))
    if not ranking:
        return None
    cost, encoding, text, is_plausible = ranking[0]
    is_clear = all(
        rival_text == text or rival_cost - cost >= _margin(encoding, rival)
        for rival_cost, rival, rival_text, _ in ranking
    )
    return encoding if is_plausible and is_clear else None


def _margin(encoding: str, rival: str) -> float:
    # What was always read goes on to be read, except where two Latin alphabets differ in a few accents.
    is_likeliest = not _prior(encoding) and not (encoding in _LATIN and rival in _LATIN)
    return _MARGIN_OF_LIKELIEST if is_likeliest else _MARGIN


def _candidates(sample: bytes, is_cut: bool) -> Iterator[tuple[float, str, str, bool]]:
    texts: dict[str, str | None] = {}
    for language in _languages():
        for encoding in language.encodings:
            if encoding not in texts:
                texts[encoding] = _decode(sample, encoding, is_cut)
            text = texts[encoding]
            if text is not None:
                cost, is_plausible = language.cost(text)
                yield cost + _prior(encoding), encoding, text, is_plausible


def _prior(encoding: str) -> float:
    return _PRIOR.get(encoding, _PRIOR_OF_OTHERS)


def _decode(data: bytes, encoding: str, is_cut: bool = False) -> str | None:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, final=not is_cut)
    except UnicodeDecodeError:
        return None
    return None if holds_no_text(text) else text


def holds_no_text(text: str) -> bool:
    """Whether a character beyond ASCII is a control, private or unassigned."""
    return any(letter > "\x7f" and unicodedata.category(letter) in ("Cc", "Cn", "Co", "Cs") for letter in set(text))


def _is_utf_7(text: str) -> bool:
    # "1+abc-d" is one ideograph by chance.
    letters = sum(letter > "\x7f" for letter in text)
    return letters > _BY_CHANCE or (letters > 0 and are_frequent(text))


def are_frequent(text: str) -> bool:
    """Whether all characters of `text` beyond ASCII are letters or punctuation of the languages that are guessed."""
    letters = set().union(*(language.letters for language in _languages()), _PUNCTUATION)
    return all(letter < "\x80" or letter.lower() in letters for letter in text)


def _sample(data: bytes) -> tuple[bytes, bool]:
    """Some thousand bytes of the first lines beyond ASCII, without tags, and whether their end was cut off.

    No encoding here has a line's end or a tag's brackets in a letter.
    """
    lines: list[bytes] = []
    size = 0
    for line in data.splitlines():
        if not line.isascii() and size < _SAMPLE_BYTES:
            lines.append(_TAG.sub(b" ", line))
            size += len(lines[-1])
    sample = b"\n".join(lines)
    return sample[: 2 * _SAMPLE_BYTES], len(sample) > 2 * _SAMPLE_BYTES
