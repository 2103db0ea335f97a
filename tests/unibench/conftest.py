"""The official wheels where they are there, and a miniature of their seven files made in the test."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from affectgpt.unibench.wheels.official import OfficialWheels, read_official

# Sectors and words of the miniature: level 1 -> level 2 -> words, as the sheets have them (in rows, filled downwards).
WHEEL = {
    " Glad ": {"Merry": ["jolly", "Bright"], "Bold": ["brave"]},
    "Low": {"Gloomy": ["down", "doomed"], "Alone": ["lonely", "down"]},
}
SMALL = {"Glad": {"Merry": ["jolly"]}, "Wild": {"Raging": ["furious"]}}
FORMS = {
    "jolly": "jolly,jollier",
    "bright": "bright,brightly",
    "brave": "brave,bravely",
    "down": "down",
    "doomed": "doomed",
    "lonely": "lonely,lonelier",
    "furious": "furious,furiously",
    "afraid": "afraid,fear",
    "bold": "bold,brightly",
    "merry": "merry",
    "glad": "glad",
    "mute": "",
}
SYNONYMS = {
    "jolly": "cheerful",
    "brave": "afraid, ' daring'",
    "furious": "afraid",
    "down": "lonely",
    "Lonely": "",
    "doomed": "",
    "bright": "",
    "merry": "",
    "glad": "",
    "bold": "bright",
}


@pytest.fixture(scope="session")
def official(shared: Path) -> OfficialWheels:
    """The published wheels."""
    return read_official(shared / "reference" / "emotion_wheel")


@pytest.fixture(scope="session")
def oracle(shared: Path) -> Callable[[str], Any]:
    """Reads a fixture of the original scripts by name."""
    return lambda name: json.loads((shared / "oracle" / "metrics" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def write_wheels() -> Callable[[Path], Path]:
    return write_miniature


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> OfficialWheels:
    """Wheels read from a folder of seven small files of our own."""
    return read_official(write_miniature(tmp_path_factory.mktemp("wheels")))


def write_miniature(folder: Path) -> Path:
    for number in range(1, 6):
        write_sheet(
            folder / f"wheel{number}.xlsx", ["level1", "level2", "level3"], rows_of(WHEEL if number < 4 else SMALL)
        )
    header = [f"{kind}_run{run}" for run in range(1, 9) for kind in ("word", "synonym")]
    rows = [[word, synonyms or None] * 8 for word, synonyms in SYNONYMS.items()]
    write_sheet(folder / "synonym.xlsx", header, rows)
    with (folder / "format.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "format"])
        writer.writerows(FORMS.items())
    return folder


def rows_of(wheel: Mapping[str, Mapping[str, Sequence[str]]]) -> list[list[str | None]]:
    rows: list[list[str | None]] = []
    for first, inner in wheel.items():
        for row, (second, words) in enumerate(inner.items()):
            for index, word in enumerate(words):
                rows.append([first if row == index == 0 else None, second if index == 0 else None, word])
    return rows


def write_sheet(path: Path, header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    book = openpyxl.Workbook()
    book.active.append(list(header))
    for row in rows:
        book.active.append(list(row))
    book.save(path)


def same(figure: float | None, expected: Any) -> bool:
    """Equal to 1e-12; the fixtures write NaN as a text."""
    if expected == "NaN":
        return figure is None or math.isnan(figure)
    return figure is not None and abs(figure - expected) <= 1e-12


@pytest.fixture(scope="session")
def equal() -> Callable[[float | None, Any], bool]:
    return same
