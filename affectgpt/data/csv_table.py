"""Columns of CSV files that are not trusted, keyed by the name of a clip. No numpy."""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from affectgpt.media.encoding_guess import LABELS, guess_encoding, holds_no_text
from affectgpt.registry.errors import DataError, Problem, join_names
from affectgpt.registry.messages import count_and_first, short_repr

ENCODINGS = ("utf-8-sig", "gb18030")
"""What a table may be written in, tried in this order on the whole file."""
LONGEST_FIELD = 1_000_000
LARGEST_TABLE = 2**30
LONGEST_NAME = 255

_CHUNK = 2**20
_SAMPLE_LINE, _SAMPLE = 2**16, 20_000
_INVISIBLE = ("Cc", "Cf", "Cs")
_BY_CHANCE = 8
"""So many characters of one encoding may be read out of another."""


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """`path` as text, in the first of [ENCODINGS][] that the whole file fits; line ends are left as they are.

    Raises DataError when it is missing, no file, too large, or fits neither encoding, also when that comes to light
    inside the block.
    """
    try:
        encoding = encoding_of(path)
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None


def encoding_of(path: Path) -> str:
    """Which of [ENCODINGS][] the whole file fits. Raises as [open_text][], also for damaged UTF-8."""
    expected = "a text file in UTF-8 or GB 18030"
    if path.exists() and not path.is_file():
        raise DataError("is a folder, a device or a pipe", where=str(path), expected=expected)
    try:
        size = path.stat().st_size
        if size > LARGEST_TABLE:
            raise DataError(
                "is too large", where=str(path), found=f"{size:,} bytes", expected=f"at most {LARGEST_TABLE:,} bytes"
            )
        with path.open("rb") as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise _unreadable(path, "a text in UTF-16")
            for encoding in ENCODINGS:
                file.seek(0)
                letters = _letters_that_fit(file, encoding)
                # GB 18030 fits most text in other encodings too, and makes it Chinese.
                guess = _guess(file) if encoding == "gb18030" else encoding
                if letters is None and guess == encoding:
                    return encoding
                if guess in LABELS and guess != encoding:
                    raise _unreadable(path, f"text in {LABELS[guess]}")
                if letters is not None and letters > _BY_CHANCE:
                    # GB 18030 would take most of what follows, as other characters.
                    raise _unreadable(path, f"{encoding} that is damaged or cut off after {letters:,} letters")
    except OSError as error:
        raise _unreadable(path, str(error)) from None
    raise _unreadable(path, "bytes that are neither, or too few to tell")


def _letters_that_fit(file: IO[bytes], encoding: str) -> int | None:
    """None when the whole file is in `encoding`, else how many characters beyond ASCII were before what is not.

    0 for private, unassigned and control characters, which GB 18030 has in the place of letters of other encodings.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    letters = 0
    try:
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            letters += _beyond_ascii(text)
            if encoding == "gb18030" and holds_no_text(text):
                return 0
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return letters + _beyond_ascii(error.object[: error.start].decode(encoding))
    return None


def _guess(file: IO[bytes]) -> str | None:
    """The encoding of the file's first lines beyond ASCII; see [guess_encoding][]."""
    file.seek(0)
    sample = b""
    while len(sample) < _SAMPLE and (line := file.readline(_SAMPLE_LINE)):
        if not line.isascii():
            # A line that is cut in a letter would fit no encoding: its whole fields are enough.
            end = (
                len(line) if len(line) < _SAMPLE_LINE else max(line.rfind(byte) for byte in (b"\r", b"\n", b",", b" "))
            )
            sample += line[: end + 1]
    return guess_encoding(sample)


def _beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", errors="ignore"))


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(
        "cannot be read",
        where=str(path),
        found=reason,
        expected="a text file in UTF-8 or GB 18030",
        hint="save it again as UTF-8",
    )


def rows(file: IO[str], path: Path, *, require_complete: bool = False) -> Iterator[tuple[int, dict[str, str | None]]]:
    """(line number, column -> text or None where the line is short) of a CSV file; the first line is the header.

    A column without a name is left out. Raises DataError for a file without a header, a header that repeats a name, a
    line with more fields than the header (an unquoted comma would lose what is behind it), a field above
    [LONGEST_FIELD][], and malformed CSV; with `whole` also for a column without a name and a line that is short.
    """
    previous = csv.field_size_limit(LONGEST_FIELD)
    try:
        reader = csv.DictReader(file, restkey="", strict=True)
        header = list(reader.fieldnames or [])
        _check_header(header, path, require_complete)
        for row in reader:
            location = f"{path}, line {reader.line_num}"
            extra: object = row.pop("", None)
            if isinstance(extra, list) and any(extra):
                raise _uneven("more", location, len(header) + len(extra), header)
            if require_complete and None in row.values():
                raise _uneven("fewer", location, sum(value is not None for value in row.values()), header)
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError("cannot be read", where=str(path), found=str(error), expected="a CSV file") from None
    finally:
        csv.field_size_limit(previous)


def _check_header(header: list[str], path: Path, require_complete: bool) -> None:
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if twice:
        raise DataError(
            "columns that repeat", where=str(path), found=join_names(twice)[:200], expected="each name once"
        )
    if require_complete and "" in header:
        raise DataError(
            "a column has no name",
            where=str(path),
            found=f"column {header.index('') + 1}",
            expected="a name for each column",
            hint="leave it out (pandas: index=False)",
        )


def _uneven(comparison: str, location: str, fields: int, header: list[str]) -> DataError:
    hints = {"more": "put a text that holds a comma into double quotes", "fewer": "an empty field needs its comma too"}
    return DataError(
        f"a line has {comparison} fields than the header",
        where=location,
        found=f"{fields} fields",
        expected=f"{len(header)}: {', '.join(header)}"[:200],
        hint=hints[comparison],
    )


def read_column(path: Path, column: str, problems: list[Problem]) -> dict[str, str] | None:
    """Name -> stripped text of `column`, in the order of the file; other columns are ignored.

    None when there is no such file, or when it is unusable: then `problems` says why. Also adds a problem for names
    that repeat or that are no plain file names.
    """
    if not path.exists():
        return None
    values: dict[str, str] = {}
    repeated, unsafe, short = [], [], []
    header: list[str] | None = None
    try:
        with open_text(path) as file:
            for line, row in rows(file, path):
                if header is None:
                    header = list(row)
                    if not {"name", column} <= set(header):
                        break
                name, text = (row["name"] or "").strip(), row[column]
                if not is_safe_name(name):
                    unsafe.append(f"line {line}: {short_repr(name)}")
                elif name in values:
                    repeated.append(name)
                elif text is None:
                    short.append(f"line {line}: {name}")
                else:
                    values[name] = text.strip()
        if header is None:
            header = _header(path)
    except DataError as error:
        problems.extend(error.problems)
        return None
    missing = [name for name in ("name", column) if name not in header]
    if missing:
        header_text = f"columns {join_names(header)}"[:200]
        problems.append(Problem(f"no column {join_names(missing)}", str(path), header_text, f"columns name, {column}"))
        return None
    for what, items, expected in (
        ("names that repeat", repeated, "each name once"),
        ("names that are not plain file names", unsafe, "NAME of the video NAME.mp4"),
        (f"lines that end before the column {column}", short, "a field for every column"),
    ):
        if items:
            problems.append(Problem(what, str(path), count_and_first(items), expected))
    return values


def _header(path: Path) -> list[str]:
    # Of a table without a row.
    with open_text(path) as file:
        return next(csv.reader(file), [])


def parse_labels(text: str) -> list[str]:
    """The words of a written list: "[a, b]", "['a', 'b']" and "a, b" all give ["a", "b"]; each once, in order."""
    return list(dict.fromkeys(label.strip() for label in split_labels(text.strip()) if label.strip()))


def split_labels(text: str) -> list[str]:
    """The raw pieces of a written list, blanks and empty ones included, without one `[` and one `]` around them."""
    return re.split(r"[,'\"]", text.removeprefix("[").removesuffix("]"))


def is_safe_name(name: str) -> bool:
    """Whether a file of this name lies in the folder that it is looked for in, on every system.

    Names of over 255 characters and names with control or format characters, which are not seen, are not plain.
    """
    return (
        0 < len(name) <= LONGEST_NAME
        and name != "."
        and ".." not in name
        and not re.search(r"[/\\:]", name)
        and not any(unicodedata.category(letter) in _INVISIBLE for letter in name)
    )
