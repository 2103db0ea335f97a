"""One's own clips from a CSV, JSON Lines or Parquet file."""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from affectgpt.data import manifest, parquet_rows
from affectgpt.data.example import Example
from affectgpt.data.manifest import read_manifest
from affectgpt.registry.errors import DataError

ROWS: list[dict[str, Any]] = [
    {
        "clip": "a.mp4",
        "id": "first",
        "subtitle": "你好, there",
        "labels": ["happy", "at ease"],
        "sentiment": -0.5,
        "description": "A smile.",
    },
    {"clip": "deep/b.mp4", "id": None, "subtitle": None, "labels": None, "sentiment": None, "description": None},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `data` with two clips, and one outside it."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    for path in (folder / "a.mp4", folder / "deep" / "b.mp4", tmp_path / "outside.mp4"):
        path.touch()
    return folder


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        names = list(rows[0])
        lines = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
        path.write_text("\r\n".join(",".join(line) for line in lines), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def _cell(value: Any) -> str:
    text = "" if value is None else f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
    return f'"{text}"' if "," in text else text


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".CSV"])
def test_three_formats_say_the_same(folder: Path, suffix: str) -> None:
    path = written(folder / f"clips{suffix.lower()}", ROWS).rename(folder / f"clips{suffix}")
    assert read_manifest(path) == [
        Example("first", folder / "a.mp4", "你好, there", ("happy", "at ease"), "A smile.", -0.5),
        Example("b", folder / "deep" / "b.mp4", "", (), ""),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_text_in_two_encodings(folder: Path, encoding: str, suffix: str) -> None:
    path = written(folder / f"clips{suffix}", ROWS)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert read_manifest(path)[0].subtitle == "你好, there"


def test_the_column_clip_is_enough(folder: Path) -> None:
    path = written(folder / "clips.csv", [{"clip": "a.mp4"}, {"clip": "./deep//b.mp4"}])
    assert [each.name for each in read_manifest(path)] == ["a", "b"]


def test_labels_in_json_may_be_a_written_list(folder: Path) -> None:
    path = written(folder / "clips.jsonl", [{"clip": "a.mp4", "labels": "['x', 'y, z']"}])
    assert read_manifest(path)[0].labels == ("x", "y", "z")


def test_clips_stay_in_the_folder_unless_said_otherwise(folder: Path) -> None:
    outside = folder.parent / "outside.mp4"
    (folder.parent / "other").mkdir()
    (folder / "link").symlink_to(folder.parent / "other")
    (folder / "alias.mp4").symlink_to(outside)
    for clip in (
        "../outside.mp4",
        "deep/../../outside.mp4",
        "deep/.././../outside.mp4",
        "link/../outside.mp4",
        "alias.mp4",
        "../data/../outside.mp4",
    ):
        path = written(folder / "clips.csv", [{"clip": clip}])
        text = refusal(path)
        assert "outside the manifest's folder" in text and clip in text
        assert read_manifest(path, allow_outside=True)[0].video.resolve() == outside
    assert read_manifest(written(folder / "clips.csv", [{"clip": str(outside)}]))[0].video == outside


def test_links_within_the_folder_and_to_it_are_followed(folder: Path) -> None:
    (folder / "alias.mp4").symlink_to("deep/b.mp4")
    assert "outside" in refusal(written(folder / "clips.csv", [{"clip": "deep/../a.mp4"}]))
    path = written(folder / "clips.csv", [{"clip": "alias.mp4"}])
    (folder.parent / "way").symlink_to(folder)
    for manifest_ in (path, folder.parent / "way" / "clips.csv"):
        assert [each.video.name for each in read_manifest(manifest_)] == ["alias.mp4"]
    assert "not there" in refusal(written(folder / "clips.csv", [{"clip": "lost.mp4"}]))


@pytest.mark.parametrize("content", [",clip\n0,a.mp4\n", "clip,\na.mp4,\n", "clip,,id\na.mp4,x,y\n"])
def test_a_column_without_a_name_is_refused(folder: Path, content: str) -> None:
    (folder / "clips.csv").write_text(content)
    assert "a column has no name" in refusal(folder / "clips.csv")


def test_a_line_that_is_short_is_refused(folder: Path) -> None:
    (folder / "clips.csv").write_text("clip,subtitle,labels\na.mp4,Hello,[x]\n\ndeep/b.mp4,Hi\n")
    text = refusal(folder / "clips.csv")
    assert "line 4" in text and "fewer fields than the header" in text and "2 fields" in text


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_western_text_is_not_read_as_chinese(folder: Path, suffix: str) -> None:
    path = written(folder / f"clips{suffix}", [{"clip": "a.mp4", "subtitle": "I don’t care"}])
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
    assert "Windows-1252" in refusal(path)


def test_all_problems_come_at_once(folder: Path) -> None:
    rows = [
        {"clip": "a.mp4", "sentiment": "nan", "id": "x"},
        {"clip": "a.mp4", "sentiment": "1", "id": "x"},
        {"clip": "a.mp4", "sentiment": "many", "id": "../y"},
        {"clip": "lost.mp4", "sentiment": "", "id": "z"},
        {"clip": "", "sentiment": "", "id": "w"},
    ]
    with pytest.raises(DataError) as caught:
        read_manifest(written(folder / "clips.csv", rows))
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for words in ("2: line 2: 'nan', line 4: 'many'", "1: x", "'../y'", "line 5: lost.mp4", "line 6: ''"):
        assert words in text


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_unknown_column_gets_a_suggestion(folder: Path, suffix: str) -> None:
    text = refusal(written(folder / f"clips{suffix}", [{"clip": "a.mp4", "lables": "[x]"}]))
    assert "'lables'" in text and "did you mean 'labels'?" in text


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_no_column_clip(folder: Path, suffix: str) -> None:
    text = refusal(written(folder / f"clips{suffix}", [{"clips": "a.mp4"}]))
    assert "clip" in text and "clips" in text


@pytest.mark.parametrize(
    "row",
    [
        {"clip": 5},
        {"clip": ["a.mp4"]},
        {"clip": "a\0.mp4"},
        {"clip": "a.mp4", "labels": [1]},
        {"clip": "a.mp4", "labels": {"x": 1}},
        {"clip": "a.mp4", "labels": [""]},
        {"clip": "a.mp4", "sentiment": True},
        {"clip": "a.mp4", "sentiment": [1]},
        {"clip": "a.mp4", "subtitle": 5},
        {"clip": "a.mp4", "id": 5},
        {"clip": "a.mp4", "description": ["x"]},
        {"clip": "x" * 5000},
    ],
)
def test_values_of_the_wrong_kind_are_told_with_their_line(folder: Path, row: dict[str, Any]) -> None:
    assert "line 2" in refusal(written(folder / "clips.jsonl", [{"clip": "deep/b.mp4"}, row]))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "5",
        '{"clip": "a.mp4", "clip": "deep/b.mp4"}',
        '{"clip": "a.mp4", "sentiment": NaN}',
        '{"clip": "a.mp4", "sentiment": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"a": ' * 100_000,
        "\0",
        '{"clip": "a.mp4", "labels": ' + "[" * 500 + "]" * 500 + "}",
        '{"clip": "a.mp4", "sentiment": 1e999}',
    ],
)
def test_lines_that_are_no_json_are_told(folder: Path, line: str) -> None:
    (folder / "clips.jsonl").write_text(f'{{"clip": "deep/b.mp4"}}\n\n{line}\n')
    assert "line 3" in refusal(folder / "clips.jsonl")


def test_a_line_without_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_LONGEST_LINE", 100)
    (folder / "clips.jsonl").write_text('{"clip": "a.mp4", "subtitle": "' + "x" * 200)
    assert "too long" in refusal(folder / "clips.jsonl")


def test_too_many_clips_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_CLIPS", 2)
    for suffix in (".csv", ".jsonl", ".parquet"):
        assert "too many" in refusal(written(folder / f"clips{suffix}", [{"clip": "a.mp4"}] * 3))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_files_that_are_none(folder: Path, suffix: str) -> None:
    path = folder / f"clips{suffix}"
    assert "no such file" in refusal(path)
    path.write_bytes(b"")
    refusal(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    refusal(path)
    path.unlink()
    os.mkfifo(path)
    assert "a pipe" in refusal(path)
    path.unlink()
    path.mkdir()
    refusal(path)


def test_another_suffix_is_refused(folder: Path) -> None:
    (folder / "clips.xlsx").touch()
    assert ".csv, .jsonl, .parquet" in refusal(folder / "clips.xlsx")


def test_a_damaged_parquet_file_is_refused(folder: Path) -> None:
    path = written(folder / "clips.parquet", ROWS)
    content = path.read_bytes()
    for data in (
        content[:-10],
        content[:100],
        content[: len(content) // 2] + b"\0" * 40 + content[len(content) // 2 + 40 :],
    ):
        path.write_bytes(data)
        assert "cannot be read" in refusal(path)


def test_parquet_without_pyarrow_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder / "clips.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "affectgpt[parquet]" in refusal(path)


def unfolding(path: Path, cell: Any, rows: int, **options: Any) -> Path:
    """A file of one cell that many rows refer to."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts: Any = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, "int32"), ["".join(cell)])
    column = "subtitle"
    if isinstance(cell, list):
        texts, column = pyarrow.ListArray.from_arrays(pyarrow.array(range(rows + 1), "int32"), texts), "labels"
    table = pyarrow.table({"clip": ["a.mp4"] * rows, "id": list(map(str, range(rows))), column: texts})
    parquet.write_table(table, path, compression="zstd", **options)
    return path


@pytest.mark.parametrize("cell", ["x" * 4_000_000, ["x" * 4_000_000]])
def test_a_cell_that_unfolds_is_refused_before_it_does(folder: Path, cell: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = unfolding(folder / "clips.parquet", cell, 100, dictionary_pagesize_limit=2**30)
    assert path.stat().st_size < 100_000
    assert "4,000,000 bytes" in refusal(path)
    assert (pyarrow.default_memory_pool().max_memory() or 0) < 200_000_000


def test_the_texts_of_all_rows_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = unfolding(folder / "clips.parquet", "x" * 1000, 120)
    assert {each.subtitle for each in read_manifest(path)} == {"x" * 1000}
    monkeypatch.setattr(parquet_rows, "LARGEST_TEXT", 100_000)
    assert "texts that are too long" in refusal(path)
    monkeypatch.setattr(parquet_rows, "LARGEST_TEXT", 2**29)
    for limit in ("LARGEST_FILE", "MOST_VALUES"):
        with monkeypatch.context() as patch:
            patch.setattr(parquet_rows, limit, 300)
            assert "when unpacked" in refusal(path)


@pytest.mark.parametrize("value", [{"a": 1}, [["x"]], b"words", datetime.datetime(2000, 1, 1)])
def test_columns_of_other_types_are_refused(folder: Path, value: Any) -> None:
    path = written(folder / "clips.parquet", [{"clip": "a.mp4", "subtitle": value}])
    assert "the column subtitle is of another type" in refusal(path)
