"""The published wheels of MER-UniBench, read from the folder that their owners distribute, quirks included.

    wheel1.xlsx ... wheel5.xlsx   level1, level2, level3: sectors and words
    synonym.xlsx                  word_run1, synonym_run1, ..., word_run8, synonym_run8
    format.csv                    name, format: a word and its inflected forms

A label is looked up among the forms, its bases among the synonyms, and the alphabetically first wheel word that is
reached and stands on a wheel decides the sector. So `fear` lies under "happy" on wheel 2 (through *courageous*): that
is what the published numbers rest on. Source: MERTools, MER2025_Track23/my_affectgpt/evaluation/wheel.py.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import DataError, join_names
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.wheels.wheel_set import LEVELS, Tree, Wheel, WheelSet

WHEELS = ("wheel1", "wheel2", "wheel3", "wheel4", "wheel5")
FILES = (*(f"{name}.xlsx" for name in WHEELS), "synonym.xlsx", "format.csv")
RUNS = range(1, 9)
MOST_ROWS, MOST_COLUMNS = 10_000, 64
_LARGEST = 16 * 2**20
_UNPACKED = 4 * 2**20
_CITATION = "AffectGPT: Lian et al., 2025, arXiv:2501.16566"


@dataclass(frozen=True, eq=False)
class OfficialWheels(WheelSet):
    """The five published wheels. `form` and `synonym` are the two comparisons of the official scripts without a wheel.

    `form(label)` is the base word of an inflected form, `synonym(label)` the wheel word that stands for it; None when
    the label is unknown.
    """

    form: Callable[[str], str | None] = lambda label: None
    synonym: Callable[[str], str | None] = lambda label: None


def read_official(folder: Path) -> OfficialWheels:
    """Read the seven files of `folder`. Raises DataError naming the files that are missing or wrong."""
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            "the folder does not hold the official emotion wheels",
            where=str(folder),
            found=f"no {join_names(missing)}",
            expected=join_names(FILES),
            hint="give the folder emotion_wheel as the MERTools repository distributes it",
        )
    contents = {name: _content(folder / name) for name in FILES}
    bases = _bases(folder / "format.csv", contents["format.csv"])
    reach = _reach(folder / "synonym.xlsx", contents["synonym.xlsx"])
    pools = {label: sorted({word for base in words for word in reach.get(base, ())}) for label, words in bases.items()}
    wheels = []
    for name in WHEELS:
        tree = _tree(folder / f"{name}.xlsx", contents[f"{name}.xlsx"])
        sectors = {level: _sectors(tree, level) for level in LEVELS}
        words = {
            level: {
                label: sectors[level][first]
                for label, pool in pools.items()
                if (first := next((word for word in pool if word in sectors[level]), None)) is not None
            }
            for level in LEVELS
        }
        wheels.append(Wheel(name, tree, _lookup(words)))
    forms = {label: found[0] for label, found in bases.items()}
    synonyms = {label: reached[0] for label, base in forms.items() if (reached := sorted(reach.get(base, ())))}
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(hashlib.sha256(contents[name]).digest())
    return OfficialWheels(
        name="official",
        wheels=tuple(wheels),
        source=str(folder),
        official=True,
        fingerprint=digest.hexdigest()[:16],
        citations=(_CITATION,),
        form=forms.get,
        synonym=synonyms.get,
    )


def _lookup(sector_of_label: Mapping[int, Mapping[str, str]]) -> Callable[[str, int], str | None]:
    return lambda label, level: sector_of_label[level].get(label)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise DataError("a wheel file is too large", where=str(path), expected=f"at most {_LARGEST:,} bytes")
    return content


def _bases(path: Path, content: bytes) -> dict[str, list[str]]:
    """Form -> its base words, sorted, each once."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("cannot be read", where=str(path), found=str(error), expected="a CSV file in UTF-8") from None
    if not rows or not {"name", "format"} <= set(rows[0]):
        raise DataError(
            "no table of forms",
            where=str(path),
            found=f"columns {join_names(map(str, rows[0] if rows else ()))}",
            expected="columns name, format",
        )
    bases: dict[str, set[str]] = {}
    for row in rows:
        name = row["name"] or ""
        for form in (*parse_labels(row["format"] or ""), name):
            bases.setdefault(form, set()).add(name)
    return {form: sorted(names) for form, names in bases.items()}


def _reach(path: Path, content: bytes) -> dict[str, set[str]]:
    """Word -> the wheel words that it is a synonym of in any of the runs; a wheel word is one of itself."""
    header, rows = _sheet(path, content)
    columns = [f"{kind}_run{run}" for run in RUNS for kind in ("word", "synonym")]
    _check_columns(path, header, columns)
    column_index = {name: header.index(name) for name in columns}
    reach: dict[str, set[str]] = {}
    for row in rows:
        for run in RUNS:
            word, cell = row[column_index[f"word_run{run}"]], row[column_index[f"synonym_run{run}"]]
            if word is None:
                continue
            plain = _normalize_cell(word)
            for synonym in (plain, *map(_normalize_cell, parse_labels(None if cell is None else str(cell)))):
                reach.setdefault(synonym, set()).add(plain)
    return reach


def _tree(path: Path, content: bytes) -> Tree:
    header, rows = _sheet(path, content)
    _check_columns(path, header, ["level1", "level2", "level3"])
    places = [header.index(name) for name in ("level1", "level2", "level3")]
    tree: dict[str, dict[str, tuple[str, ...]]] = {}
    first = second = ""
    for number, row in enumerate(rows, 2):
        cells = [row[place] for place in places]
        if cells[2] is None or (not first and cells[0] is None) or (not second and cells[1] is None):
            raise DataError("a cell is empty", where=f"{path}:{number}", expected="a word, and sectors above it")
        first = _normalize_cell(cells[0]) if cells[0] is not None else first
        second = _normalize_cell(cells[1]) if cells[1] is not None else second
        inner = tree.setdefault(first, {})
        inner[second] = (*inner.get(second, ()), _normalize_cell(cells[2]))
    return tree


def _sectors(tree: Tree, level: int) -> dict[str, str]:
    """Word -> sector. A word in several places has the last; a level-1 word has, at level 2, the first by name."""
    sectors: dict[str, str] = {}
    for first, inner in tree.items():
        for second, words in inner.items():
            for word in words:
                if level == 1:
                    sectors.update({first: first, second: first, word: first})
                else:
                    sectors.update({first: min(inner), second: second, word: second})
    return sectors


def _sheet(path: Path, content: bytes) -> tuple[list[str], list[tuple[Any, ...]]]:
    import zipfile

    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _UNPACKED:
                expected = f"at most {_UNPACKED:,} bytes"
                raise DataError("a wheel file unpacks to too much", where=str(path), expected=expected)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        rows = list(_rows(path, book.worksheets[0]))
    except DataError:
        raise
    # openpyxl lets whatever its parsers raise through: a damaged workbook shows as any of many exceptions.
    except Exception as error:
        raise DataError(
            "the workbook cannot be read",
            where=str(path),
            found=f"{type(error).__name__}: {error}",
            expected="a .xlsx file",
        ) from error
    if not rows:
        raise DataError("the workbook is empty", where=str(path))
    width = max(map(len, rows))
    rows = [(*row, *[None] * (width - len(row))) for row in rows]
    return [str(cell) for cell in rows[0]], rows[1:]


def _rows(path: Path, sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # the file's own word on its size, to which every row would be widened
    for number, row in enumerate(sheet.iter_rows(max_row=MOST_ROWS + 1, values_only=True), 1):
        if number > MOST_ROWS or len(row) > MOST_COLUMNS:
            raise DataError(
                "a wheel file has too many rows or columns",
                where=f"{path}:{number}",
                expected=f"at most {MOST_ROWS:,} rows of {MOST_COLUMNS} columns",
            )
        yield row


def _check_columns(path: Path, header: Iterable[str], columns: Iterable[str]) -> None:
    missing = set(columns) - set(header)
    if missing:
        raise DataError(f"no column {join_names(missing)}", where=str(path), found=f"columns {join_names(header)}")


def _normalize_cell(cell: object) -> str:
    return str(cell).strip().lower()
