from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench.wheels.official import FILES, OfficialWheels, read_official
from affectgpt.unibench.wheels.wheel_set import LEVELS

WriteWheels = Callable[[Path], Path]


def test_every_known_label_lies_where_the_official_scripts_put_it(
    official: OfficialWheels, oracle: Callable[[str], Any]
) -> None:
    fixture = oracle("label_map")
    assert fixture["columns"][:3] == ["case1", "case2", "case3_wheel1_level1"]
    assert len(fixture["map"]) > 3000
    for label, expected in fixture["map"].items():
        places = [wheel.sector(label, level) for level in LEVELS for wheel in official.wheels]
        assert [each or "" for each in (official.form(label), official.synonym(label), *places)] == expected, label


def test_a_label_goes_by_form_and_synonym_to_the_first_wheel_word_by_name(miniature: OfficialWheels) -> None:
    wheel = miniature.wheels[0]
    assert wheel.sector("jollier", 1) == "glad" and wheel.sector("jollier", 2) == "merry"
    # afraid is a synonym of brave and of furious; brave comes first by name and is on wheel 1, not on wheel 4.
    assert wheel.sector("fear", 1) == "glad" and wheel.sector("fear", 2) == "bold"
    assert miniature.wheels[3].sector("fear", 1) == "wild"
    assert miniature.form("brightly") == "bold" and miniature.synonym("fear") == "brave"


def test_unknown_words_and_words_without_a_wheel_have_no_sector(miniature: OfficialWheels) -> None:
    wheel = miniature.wheels[3]
    for label in ("nothing like it", "", "lonely", "mute"):
        assert wheel.sector(label, 1) is None
    assert miniature.form("mute") == "mute" and miniature.synonym("mute") is None


def test_a_word_in_two_places_has_the_last_and_a_sector_its_first_part_by_name(miniature: OfficialWheels) -> None:
    wheel = miniature.wheels[0]
    assert wheel.sector("down", 2) == "alone"
    assert wheel.sector("glad", 2) == "bold" and wheel.sector("glad", 1) == "glad"
    assert wheel.tree["low"] == {"gloomy": ("down", "doomed"), "alone": ("lonely", "down")}


def test_other_content_has_another_fingerprint(
    tmp_path: Path, write_wheels: WriteWheels, miniature: OfficialWheels
) -> None:
    folder = write_wheels(tmp_path)
    (folder / "format.csv").write_text("name,format\njolly,jollier\n")
    assert read_official(folder).fingerprint != miniature.fingerprint
    assert miniature.official and miniature.name == "official"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _without_columns(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["one", "two"])
    book.save(path)


def _hole(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["level1", "level2", "level3"])
    book.active.append([None, "merry", "jolly"])
    book.save(path)


def _rewritten(path: Path, sheet: str) -> None:
    """The sheet's XML in place of what the workbook holds."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    members["xl/worksheets/sheet1.xml"] = f'<worksheet xmlns="{namespace}">{sheet}</worksheet>'.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _wide(path: Path) -> None:
    rows = "".join(f'<row r="{number}"><c r="XFD{number}"><v>1</v></c></row>' for number in range(1, 40_000))
    _rewritten(path, f'<dimension ref="A1:C3"/><sheetData>{rows}</sheetData>')


def _long(path: Path) -> None:
    rows = "".join(f'<row r="{number}"><c r="A{number}"><v>1</v></c></row>' for number in range(1, 10_002))
    _rewritten(path, f"<sheetData>{rows}</sheetData>")


def _far(path: Path) -> None:
    _rewritten(path, '<sheetData><row r="1048576"><c r="A1048576"><v>1</v></c></row></sheetData>')


def _large(path: Path) -> None:
    _rewritten(path, f"<sheetData>{' ' * 2**22}</sheetData>")


def test_a_sheet_takes_little_memory_whatever_it_says(tmp_path: Path, write_wheels: WriteWheels) -> None:
    folder = write_wheels(tmp_path)
    for damage in (_wide, _long, _far):
        damage(folder / "wheel1.xlsx")
        tracemalloc.start()
        with pytest.raises(DataError, match="too many rows or columns"):
            read_official(folder)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 50 * 2**20, damage.__name__


def test_a_sheet_that_tells_no_size_or_a_wrong_one_is_read_all_the_same(
    tmp_path: Path, write_wheels: WriteWheels, miniature: OfficialWheels
) -> None:
    folder = write_wheels(tmp_path)
    with zipfile.ZipFile(folder / "wheel1.xlsx") as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    rows = sheet[sheet.index("<sheetData>") : sheet.index("</sheetData>") + len("</sheetData>")]
    for dimension in ("", '<dimension ref="A1:A1"/>', '<dimension ref="A1:XFD1048576"/>'):
        _rewritten(folder / "wheel1.xlsx", dimension + rows)
        assert read_official(folder).wheels[0].tree == miniature.wheels[0].tree


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("wheel2.xlsx", Path.unlink, "no wheel2.xlsx"),
        ("wheel3.xlsx", _cut, "cannot be read"),
        ("synonym.xlsx", _without_columns, "no column synonym_run1"),
        ("wheel1.xlsx", _without_columns, "no column level1"),
        ("wheel1.xlsx", _hole, "a cell is empty"),
        ("format.csv", lambda path: path.write_bytes(b"name,format\n\xff,a\n"), "UTF-8"),
        ("format.csv", lambda path: path.write_text("a,b\n1,2\n"), "no table of forms"),
        ("wheel4.xlsx", _wide, r"wheel4.xlsx:1: a wheel file has too many"),
        ("synonym.xlsx", _far, "at most 10,000 rows"),
        ("wheel1.xlsx", _large, "unpacks to too much"),
        ("wheel5.xlsx", lambda path: path.write_bytes(b"\0" * (2**24 + 1)), "too large"),
    ],
)
def test_a_damaged_folder_is_refused(
    tmp_path: Path, write_wheels: WriteWheels, name: str, damage: Callable[[Path], object], words: str
) -> None:
    folder = write_wheels(tmp_path)
    damage(folder / name)
    with pytest.raises(DataError, match=words):
        read_official(folder)


def test_an_empty_folder_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_official(tmp_path)
    assert all(name in str(caught.value) for name in FILES)
