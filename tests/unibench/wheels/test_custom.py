"""A file of wheels: what it may hold, and what is said, with the line, about what it may not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgpt.registry.errors import DataError
from affectgpt.unibench.wheels.custom import read_wheel_file
from affectgpt.unibench.wheels.load import load_wheels
from affectgpt.unibench.wheels.sector_lookup import SHIPPED
from affectgpt.unibench.wheels.shipped import shipped_wheels

DOCS = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "wheels.md"
SMALL = """\
wheels:
  - name: small
    sectors:
      good:
        glad: [happy, 高兴]
        calm: [relaxed]
      bad:
        angry: [furious]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def at(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return at


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_wheel_file(path)
    return str(caught.value)


def test_words_families_synonyms_and_names(write: Write) -> None:
    wheels = read_wheel_file(write(SMALL + "synonyms:\n  - {words: [zonked], near: [relaxed]}\n"))
    (wheel,) = wheels.wheels
    assert (wheels.name, wheels.official, wheel.name) == ("mine", False, "small")
    labels = ("happiness", "zonked", "good", "高兴", "enraged", "cheerful", "unknown")
    assert [wheel.sector(each, 2) for each in labels] == ["glad", "calm", "glad", "glad", "angry", "glad", None]
    assert wheel.tree == {"good": {"glad": ("happy", "高兴"), "calm": ("relaxed",)}, "bad": {"angry": ("furious",)}}


def test_the_shipped_synonyms_can_be_left_out(write: Write) -> None:
    (wheel,) = read_wheel_file(write(SMALL + "shipped_synonyms: false\n")).wheels
    assert [wheel.sector(each, 1) for each in ("cheerful", "happily")] == [None, "good"]


def test_own_synonyms_come_before_the_shipped_ones(write: Write) -> None:
    (wheel,) = read_wheel_file(write(SMALL + "synonyms:\n  - {words: [cheerful], near: [furious]}\n")).wheels
    assert wheel.sector("cheerful", 1) == "bad"


def test_a_word_with_two_places_goes_where_the_file_says(write: Write) -> None:
    text = SMALL.replace("[furious]", "[furious, relaxed]")
    assert "two sectors" in refusal(write(text)) and "ambiguous" in refusal(write(text))
    (wheel,) = read_wheel_file(write(text + "    ambiguous: {relaxed: angry}\n")).wheels
    assert wheel.sector("relaxed", 2) == "angry" and wheel.sector("calm", 2) == "calm"


def test_the_fingerprint_follows_the_content_not_the_layout(write: Write) -> None:
    first = read_wheel_file(write(SMALL)).fingerprint
    assert read_wheel_file(write("# a remark\n" + SMALL)).fingerprint == first
    changed = (
        SMALL.replace("furious", "livid"),
        SMALL + "synonyms: [{words: [x], near: [happy]}]\n",
        SMALL + "shipped_synonyms: false\n",
    )
    assert len({first, *(read_wheel_file(write(text)).fingerprint for text in changed)}) == 4


@pytest.mark.parametrize(
    ("text", "line", "message_part"),
    [
        (SMALL + "colour: red\n", 9, "extra"),
        (SMALL + "shipped_synonyms: 'no'\n", 9, "boolean"),
        (SMALL.replace("name: small", "name: small\n    size: 3"), 3, "extra"),
        (SMALL.replace("[furious]", "[furious, no]"), 8, "in quotes"),
        (SMALL.replace("[furious]", "[furious, 7]"), 8, "in quotes"),
        (SMALL.replace("[furious]", "[furious, [a]]"), 8, "string"),
        (SMALL.replace("[furious]", "furious"), 8, "list"),
        (SMALL.replace("[furious]", '["\\e[31mfurious"]'), 8, "printed"),
        (SMALL.replace("[furious]", '[" "]'), 8, "empty"),
        (SMALL.replace("[furious]", f"[{'a' * 101}]"), 8, "100"),
        (SMALL.replace("[furious]", "[furious, Happy]"), 8, "two sectors"),
        (SMALL.replace("[furious]", "[furious, FURIOUS]"), 8, "twice"),
        (SMALL.replace("[furious]", "[furious, good]"), 8, "name of another sector"),
        (SMALL.replace("angry:", "calm:"), 8, "two sectors are called"),
        (SMALL.replace("angry:", "good:"), 8, "two sectors are called"),
        (SMALL.replace("      bad:\n        angry: [furious]", "      bad: {}"), 7, "no level-2"),
        (SMALL + "    ambiguous: {relaxed: angry}\n", 9, "not a word of"),
        (SMALL + SMALL.partition("\n")[2], 9, "two wheels"),
        (SMALL + "synonyms:\n  - {words: [a], near: []}\n  - {words: [b, a], near: []}\n", 11, "twice"),
        (SMALL + "        angry: [mad]\n", 9, "given twice"),
        (SMALL + "        Angry: [mad]\n", 7, "two spellings"),
        (SMALL + "      Bad: {x: []}\n", 3, "two spellings"),
        (SMALL.replace("[furious]", "[furious, glad]"), 8, "name of another sector"),
        (SMALL.replace("sectors:", "sectors: &all").replace("[furious]", "*all"), None, "too deeply"),
        (SMALL + "    <<: {name: x}\n", 9, "extra"),
        ("wheels: []\n", None, "no wheel"),
        ("synonyms: []\n", None, "no wheel"),
        ("- a\n", None, "mapping"),
        ("", None, "mapping"),
        ("wheels: [\n", 2, "YAML"),
        ("wheels: !!python/object/apply:os.system ['x']\n", 1, "dictionary"),
        ("extends: ../../secret.yaml\n" + SMALL, 1, "extra"),
        ("[" * 5000, 1, "nested"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
                for old, new in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            None,
            "repeats itself",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write: Write, text: str, line: int | None, message_part: str) -> None:
    message = refusal(write(text))
    assert re.search(message_part, message, re.IGNORECASE), message
    assert "Traceback" not in message and len(message) < 10_000
    if line is not None:
        assert f"mine.yaml:{line}" in message, message


def test_files_that_are_no_text_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00wheels")
    assert "UTF-8" in refusal(path)
    path.write_bytes(b"#" * (4 * 2**20 + 1))
    assert "too large" in refusal(path)
    assert "no such file" in refusal(tmp_path / "absent.yaml")
    assert "folder" in refusal(tmp_path)


@pytest.mark.slow
def test_a_file_near_the_limit_is_read_in_time(tmp_path: Path) -> None:
    words = ", ".join(f"word{index}" for index in range(50_000))
    path = tmp_path / "x.yaml"
    path.write_text(f"wheels:\n  - name: big\n    sectors: {{a: {{b: [{words}]}}}}\n")
    (wheel,) = read_wheel_file(path).wheels
    assert wheel.sector("word49999", 2) == "b"


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_text_is_wheels_or_refused(write: Write, text: str) -> None:
    with contextlib.suppress(DataError):
        read_wheel_file(write(text.encode("utf-8", "replace").decode("utf-8")))


def test_the_shipped_files_are_files_of_this_form() -> None:
    for wheel in shipped_wheels().wheels:
        (same,) = read_wheel_file(SHIPPED / f"{wheel.name}.yaml").wheels
        assert same.tree == wheel.tree and same.sector("puzzled", 2) == wheel.sector("puzzled", 2)


def test_the_documented_example_is_read(write: Write) -> None:
    example = DOCS.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (wheel,) = read_wheel_file(write(example)).wheels
    assert wheel.sector("worn out", 2) == "tired" and wheel.sector("calm", 2) == "calm"
    assert wheel.sector("relaxed", 2) == "calm" and wheel.sector("slightly annoyed", 1) == "bad"


def test_choosing_wheels(write: Write, tmp_path: Path) -> None:
    assert load_wheels(None) is shipped_wheels()
    assert load_wheels(str(write(SMALL))).name == "mine"
    upper = tmp_path / "x.YML"
    upper.write_text(SMALL)
    assert load_wheels(upper).wheels[0].name == "small"
    path = tmp_path / "wheels.json"
    path.write_text("{}")
    for value in (path, "", "nowhere", "a\0b", tmp_path, "\ud800", "x" * 10_000):
        with pytest.raises(DataError):
            load_wheels(value)


def test_a_folder_is_the_official_wheels(shared: Path) -> None:
    assert load_wheels(shared / "reference" / "emotion_wheel").official
