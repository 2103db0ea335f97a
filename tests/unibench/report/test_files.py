"""Reports are written whole or not at all; scores come back as they were, and nothing else is taken for scores."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.unibench.report.scores_file import parse_result, read_result, render_json
from affectgpt.unibench.report.write import FORMATS, write_reports
from affectgpt.unibench.result import BenchmarkResult, Comparison, Confusion, DatasetResult, Figure, WorstClip

NUMBERS = st.floats(-1e9, 1e9)
FIGURES = st.builds(Figure, st.none() | NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS)
TEXTS = st.text(st.characters(), max_size=12)  # lone surrogates too
COUNTS = st.dictionaries(TEXTS, st.integers(0, 10**9), max_size=3)
CLIPS = st.builds(WorstClip, TEXTS, TEXTS, st.lists(TEXTS).map(tuple), st.lists(TEXTS).map(tuple), NUMBERS)
DATASETS = st.builds(
    DatasetResult,
    TEXTS,
    TEXTS,
    TEXTS,
    st.just("f1"),
    st.dictionaries(TEXTS, FIGURES, max_size=2).map(lambda more: {"f1": Figure(0.5), **more}),
    st.integers(0, 10**9),
    COUNTS,
    COUNTS,
    COUNTS,
    st.none() | st.integers(0, 99),
    st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.none() | NUMBERS, max_size=2), max_size=2),
    st.lists(
        st.builds(Confusion, TEXTS, st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.floats(0, 1e6)), max_size=2)),
        max_size=2,
    ).map(tuple),
    st.lists(CLIPS, max_size=2).map(tuple),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
RESULTS = st.builds(
    BenchmarkResult,
    TEXTS,
    st.lists(DATASETS, max_size=2).map(tuple),
    st.none() | FIGURES,
    TEXTS,
    st.booleans(),
    st.dictionaries(TEXTS, PLAIN, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.lists(st.builds(Comparison, TEXTS, TEXTS, FIGURES, st.floats(0, 1), st.integers(0, 99)), max_size=1).map(tuple),
    st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.lists(TEXTS))), max_size=1),
)


# -- round trip


@given(RESULTS)
def test_any_result_comes_back(result: BenchmarkResult) -> None:
    text = render_json(result)
    text.encode("utf-8")
    assert parse_result(text, "x") == result


def test_a_whole_result_comes_back_from_its_file(full_result: BenchmarkResult, tmp_path: Path) -> None:
    (path,) = write_reports(full_result, tmp_path / "new" / "folder", ["json"])
    assert path.name == "scores.json" and read_result(path) == full_result
    assert "难过" in path.read_text(encoding="utf-8")


# -- what is not a result


def places(value: Any) -> list[Any]:
    """All objects with fixed keys in a result's JSON."""
    data = value["datasets"][0]
    return [
        value,
        data,
        data["figures"]["f1"],
        data["confusion"][0],
        data["worst"][0],
        value["mean"],
        value["comparisons"][0],
        value["comparisons"][0]["difference"],
    ]


@pytest.mark.parametrize("index", range(8))
def test_every_missing_and_every_unknown_key_is_an_error(full_result: BenchmarkResult, index: int) -> None:
    text = render_json(full_result)
    for key in places(json.loads(text))[index]:
        value = json.loads(text)
        del places(value)[index][key]
        with pytest.raises(DataError, match=key):
            parse_result(json.dumps(value), "x")
    value = json.loads(text)
    places(value)[index]["surplus"] = 1
    with pytest.raises(DataError, match="surplus"):
        parse_result(json.dumps(value), "x")


WRONG: dict[str, Callable[[Any], Any]] = {
    "score as text": lambda value: value["datasets"][0]["figures"]["f1"].update(value="0.5"),
    "score true": lambda value: value["datasets"][0]["figures"]["f1"].update(value=True),
    "score nan": lambda value: value["datasets"][0]["figures"]["f1"].update(value=float("nan")),
    "score infinite": lambda value: value["mean"].update(low=float("inf")),
    "score vast": lambda value: value["mean"].update(low=10**400),
    "clips half": lambda value: value["datasets"][0].update(clips=1.5),
    "clips true": lambda value: value["datasets"][0].update(clips=True),
    "clips negative": lambda value: value["datasets"][0].update(clips=-1),
    "excluded negative": lambda value: value["datasets"][0]["excluded"].update(x=-1),
    "counts negative": lambda value: value["datasets"][0]["confusion"][0]["counts"].update(a={"a": -1}),
    "primary unknown": lambda value: value["datasets"][0].update(primary="f2"),
    "datasets an object": lambda value: value.update(datasets={}),
    "figures a list": lambda value: value["datasets"][0].update(figures=[]),
    "system null": lambda value: value.update(system=None),
    "official a number": lambda value: value.update(official_wheels=1),
    "words a text": lambda value: value["wheel_trees"]["simple"]["mixed"].update(mixed="confused"),
    "setting infinite": lambda value: value["settings"].update(x=float("inf")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_an_error_with_its_place(full_result: BenchmarkResult, case: str) -> None:
    value = json.loads(render_json(full_result))
    WRONG[case](value)
    with pytest.raises(DataError, match=r"x: scores\.") as error:
        parse_result(json.dumps(value), "x")
    assert error.value.problems[0].expected


NOT_JSON = {
    "empty": b"",
    "a list": b"[]",
    "text": b'"x"',
    "cut": b'{"system": ',
    "not utf-8": b'{"system": "\xff"}',
    "deep": b"[" * 100_000,
    "many digits": b"1" * 5000,
    "deep objects": b'{"a":' * 50_000,
    "pickle": b"\x80\x04\x95",
    "null": b"null",
}


@pytest.mark.parametrize("case", NOT_JSON)
def test_what_is_no_result_is_an_error(tmp_path: Path, case: str) -> None:
    path = tmp_path / "scores.json"
    path.write_bytes(NOT_JSON[case])
    with pytest.raises(DataError, match=r"scores\.json"):
        read_result(path)


def test_settings_nested_too_deeply_are_an_error(full_result: BenchmarkResult) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(DataError):
        render_json(replace(full_result, settings={"deep": deep}))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path)
    (tmp_path / "big.json").write_bytes(b" " * 200)
    monkeypatch.setattr("affectgpt.unibench.report.scores_file.LARGEST", 100)
    with pytest.raises(DataError, match="too large"):
        read_result(tmp_path / "big.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_not_written(full_result: BenchmarkResult, tmp_path: Path, value: float) -> None:
    with pytest.raises(DataError, match="cannot be written as JSON"):
        write_reports(replace(full_result, mean=Figure(value)), tmp_path)
    with pytest.raises(DataError, match="cannot be written as JSON"):
        write_reports(replace(full_result, settings={"x": object()}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_there_twice_is_an_error(full_result: BenchmarkResult) -> None:
    text = render_json(full_result).replace('"system":', '"system": "other", "system":', 1)
    with pytest.raises(DataError, match="twice"):
        parse_result(text, "x")


# -- writing


def test_all_formats_are_written(full_result: BenchmarkResult, tmp_path: Path) -> None:
    files = write_reports(full_result, tmp_path)
    assert [path.name for path in files] == ["scores.json", "report.md", "report.tex", "report.html"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in files)
    assert write_reports(full_result, tmp_path) == files


def test_writing_twice_gives_the_same_bytes(full_result: BenchmarkResult, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_reports(full_result, tmp_path / "a")]
    assert first == [path.read_bytes() for path in write_reports(full_result, tmp_path / "b")]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(
    full_result: BenchmarkResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / "report.md").write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(RunError, match="No space left") as error:
        write_reports(full_result, tmp_path, ["markdown"])
    assert error.value.exit_code == 1 and "space" in error.value.problems[0].hint
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "old"


@pytest.mark.parametrize("failing", range(1, 5))
def test_a_disk_that_is_full_halfway_leaves_all_files_as_they_were(
    full_result: BenchmarkResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    for name in FORMATS.values():
        (tmp_path / name).write_text("old")
    synced, calls = os.fsync, list[int]()

    def fill(handle: int) -> None:
        calls.append(handle)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(handle)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(RunError, match="No space left"):
        write_reports(full_result, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(FORMATS.values(), "old")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, RunError),
        (errno.EDQUOT, RunError),
        (errno.EIO, RunError),
        (errno.EMFILE, RunError),
        (errno.EACCES, DataError),
        (errno.EROFS, DataError),
        (errno.ENAMETOOLONG, DataError),
    ],
)
def test_a_failing_disk_is_told_from_a_place_that_cannot_be_used(
    full_result: BenchmarkResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match="the report cannot be written"):
        write_reports(full_result, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_leaves_the_others_alone(full_result: BenchmarkResult, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DataError, match="directory"):
        write_reports(full_result, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_bad_requests_are_errors(full_result: BenchmarkResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pdf"):
        write_reports(full_result, tmp_path, ["json", "pdf"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "inside", tmp_path / "null\0", tmp_path / ("a" * 300)):
        with pytest.raises(DataError, match="cannot be written"):
            write_reports(full_result, path, ["json"])
    assert set(FORMATS) == {"json", "markdown", "latex", "html"}


def test_reports_cost_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from affectgpt.unibench.report import html, latex, markdown, scores_file, terminal, write\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
