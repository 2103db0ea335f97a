from __future__ import annotations

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


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("wheel2.xlsx", Path.unlink, "no wheel2.xlsx"), ("wheel3.xlsx", _cut, "cannot be read"),
        ("synonym.xlsx", _without_columns, "no column synonym_run1"),
        ("wheel1.xlsx", _without_columns, "no column level1"), ("wheel1.xlsx", _hole, "a cell is empty"),
        ("format.csv", lambda path: path.write_bytes(b"name,format\n\xff,a\n"), "UTF-8"),
        ("format.csv", lambda path: path.write_text("a,b\n1,2\n"), "no table of forms"),
        ("wheel5.xlsx", lambda path: path.write_bytes(b"\0" * (2**24 + 1)), "too large"),
    ],
)  # fmt: skip
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
