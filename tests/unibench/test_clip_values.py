from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench import record_files as records
from affectgpt.unibench.clip_values import open_clip_values

PROSE = "The man smiles and seems to be happy with what he hears."


def rows(path: Path, **options: Any) -> list[tuple[str, Any]]:
    return [(row.id, row.value) for row in open_clip_values(path, **options).rows()]


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return path


def test_every_format_gives_the_same(tmp_path: Path) -> None:
    expected = [("a", "[happy, sad]"), ("b", "[]")]
    jsonl(tmp_path / "x.jsonl", *({"id": name, "labels": value} for name, value in expected))
    (tmp_path / "x.csv").write_text('name,openset\na,"[happy, sad]"\nb,[]\n')
    (tmp_path / "x.tsv").write_text("name\topenset\na\t[happy, sad]\nb\t[]\n")
    (tmp_path / "x.json").write_text(json.dumps(dict(expected)))
    np.savez_compressed(tmp_path / "x.npz", filenames=["a", "b"], fileitems=[value for _, value in expected])
    for suffix in (".jsonl", ".csv", ".tsv", ".json", ".npz"):
        values = open_clip_values(tmp_path / f"x{suffix}")
        assert [(row.id, row.value) for row in values.rows()] == expected, suffix
        assert values.content == "labels"
        assert list(values.rows()) == list(values.rows())


def test_the_repository_s_descriptions_are_text(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", name2reason=np.array({"a": PROSE, "b": "Angry."}, dtype=object))
    values = open_clip_values(tmp_path / "x.npz")
    assert values.content == "text" and [row.value for row in values.rows()] == [PROSE, "Angry."]


@pytest.mark.parametrize(
    ("values", "reading"),
    [
        ({"a": ["happy"], "b": None}, "labels"),
        ({"a": "[happy]", "b": "sad"}, "labels"),
        ({"a": 0.5, "b": -1}, "labels"),
        ({"a": "happy, very sad, a bit upset", "b": ""}, "labels"),
        ({"a": PROSE, "b": "sad"}, "text"),
        ({"a": "他看起来很高兴，因为朋友来看他。"}, "text"),
        ({"a": "He is happy.", "b": "sad"}, "text"),
        ({"a": "negative.", "b": "very happy."}, "labels"),
        ({"a": "He is happy.", "b": ["sad"]}, "labels"),
        ({"a": f"['{PROSE}']"}, "labels"),
    ],
)
def test_a_json_object_is_told_by_its_values(tmp_path: Path, values: dict[str, Any], reading: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(values))
    assert open_clip_values(tmp_path / "x.json").content == reading
    assert open_clip_values(tmp_path / "x.json", content="text").content == "text"


def test_a_mixture_must_be_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"a": PROSE, "b": ["sad"]}))
    with pytest.raises(DataError, match="read="):
        open_clip_values(tmp_path / "x.json")


def test_a_field_is_found_by_name_or_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", {"id": 1, "text": PROSE, "mine": "sad"}, {"id": "2 ", "text": "b", "mine": "c"})
    assert open_clip_values(path).field == "text" and rows(path) == [("1", PROSE), ("2", "b")]
    assert (
        rows(path, field="mine") == [("1", "sad"), ("2", "c")]
        and open_clip_values(path, field="mine").content == "labels"
    )
    with pytest.raises(DataError, match=r"'mime'[^z]*mine"):
        open_clip_values(path, field="mime")
    both = jsonl(tmp_path / "y.jsonl", {"id": "a", "labels": [], "openset": []})
    with pytest.raises(DataError, match="column="):
        open_clip_values(both)
    assert rows(both, field="openset") == [("a", [])]
    prose = jsonl(tmp_path / "z.jsonl", {"id": "a", "english": PROSE})
    assert open_clip_values(prose, field="english").content == "text"


def test_an_error_row_needs_no_value(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", {"id": "a", "text": "x"}, {"id": "b", "error": "cannot be read"})
    values = list(open_clip_values(path).rows())
    assert values[1].error == "cannot be read" and values[0].error == ""


def test_windows_line_ends_byte_order_marks_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a", "labels": ["x"]}\r\n\r\n{"id": "b", "labels": []}\r\n')
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfname,openset\r\na,[x]\r\nb,[]\r\n")
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": ["x"],\r\n"b": []}')
    assert rows(tmp_path / "x.jsonl") == rows(tmp_path / "x.json") == [("a", ["x"]), ("b", [])]
    assert rows(tmp_path / "x.csv") == [("a", "[x]"), ("b", "[]")]


BAD: dict[str, tuple[str, bytes, str]] = {
    "latin 1": ("x.jsonl", '{"id": "a", "labels": "caf\xe9"}'.encode("latin-1"), "not UTF-8"),
    "utf 16": ("x.csv", "name,openset\na,b\n".encode("utf-16"), "not UTF-8"),
    "gb18030": ("x.json", json.dumps({"a": "高兴"}, ensure_ascii=False).encode("gb18030"), "not UTF-8"),
    "no json": ("x.jsonl", b'{"id": "a", "labels": "x"}\n{"id":\n', "x.jsonl:2"),
    "a list": ("x.jsonl", b"[1]\n", "not a JSON object"),
    "no id": ("x.jsonl", b'{"labels": "x"}\n', "no id"),
    "an empty id": ("x.jsonl", b'{"id": " ", "labels": "x"}\n', "no id"),
    "a number as id": ("x.jsonl", b'{"id": 1.5, "labels": "x"}\n', "no id"),
    "no value": ("x.jsonl", b'{"id": "a", "seconds": 1}\n', "no field holds values"),
    "a row without": ("x.jsonl", b'{"id": "a", "labels": "x"}\n{"id": "b"}\n', "x.jsonl:2"),
    "a key twice": ("x.json", b'{"a": "x", "b": "y", "a": "z"}', "repeats"),
    "a json list": ("x.json", b'["a"]', "neither a JSON object nor a list"),
    "a nested object": ("x.json", b'{"a": {"b": 1}}', "a value is an object"),
    "deep json": ("x.json", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeply"),
    "empty": ("x.jsonl", b"", "no rows"),
    "only a header": ("x.csv", b"name,openset\n", "no rows"),
    "a cell too many": ("x.csv", b"name,openset\na,b,c\n", "more or fewer cells"),
    "a cell too few": ("x.csv", b"name,openset\na\n", "more or fewer cells"),
    "a column twice": ("x.csv", b"name,openset,openset\na,b,c\n", "columns repeat"),
    "an open quote": ("x.csv", b'name,openset\na,"b\n', "CSV"),
    "another npz": ("x.npz", b"PK\x05\x06" + b"\0" * 18, "AffectGPT repository"),
    "a kind of file": ("x.xml", b"<a/>", "ending in"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, case: str) -> None:
    name, content, words = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        rows(tmp_path / name)
    assert words in str(caught.value) and name in str(caught.value)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path}/ran",)

    np.savez(tmp_path / "x.npz", name2reason=np.array({"a": Code()}, dtype=object))
    with pytest.raises(DataError, match="system"):
        open_clip_values(tmp_path / "x.npz")
    assert not (tmp_path / "ran").exists()


def test_a_line_and_a_whole_file_have_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_ROW", 100)
    monkeypatch.setattr(records, "LARGEST_WHOLE", 100)
    jsonl(tmp_path / "x.jsonl", {"id": "a", "labels": "x"}, {"id": "b", "labels": "x" * 200})
    with pytest.raises(DataError, match=r"x.jsonl:2.*too long"):
        rows(tmp_path / "x.jsonl")
    (tmp_path / "x.json").write_text(json.dumps({"a": "x" * 200}))
    with pytest.raises(DataError, match="JSONL"):
        rows(tmp_path / "x.json")
    (tmp_path / "x.csv").write_text("name,openset\na," + "x" * 200 + "\n")
    with pytest.raises(DataError, match="too long"):
        rows(tmp_path / "x.csv")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_clip_values(tmp_path / "x.jsonl")


def test_the_id_is_one_field_for_all_rows(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", {"id": 0, "name": "b", "labels": "x"}, {"id": 1, "name": "a", "labels": "y"})
    with pytest.raises(DataError, match="id_column="):
        open_clip_values(path)
    assert rows(path, id_field="name") == [("b", "x"), ("a", "y")]
    path = jsonl(tmp_path / "y.jsonl", {"name": "b", "labels": "x"}, {"name": "a", "id": "c", "labels": "y"})
    assert [name for name, _ in rows(path)] == ["b", "a"]
    with pytest.raises(DataError, match=r"x\.jsonl:2"):
        rows(jsonl(tmp_path / "x.jsonl", {"name": "b", "labels": "x"}, {"id": "a", "labels": "y"}))


def test_a_column_of_errors_may_say_that_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,labels,error\na,[x],False\nb,[y],\nc,,broken\nd,[z],0\n")
    assert [row.error for row in open_clip_values(tmp_path / "x.csv").rows()] == ["", "", "broken", ""]
    path = jsonl(
        tmp_path / "x.jsonl", {"id": "a", "labels": "x", "error": None}, {"id": "b", "labels": "y", "error": 3}
    )
    with pytest.raises(DataError, match="error is no text"):
        rows(path)


def test_a_file_may_begin_with_errors(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", {"id": "a", "error": "boom"}, {"id": "b", "sentiment": "positive"})
    assert open_clip_values(path).field == "sentiment"
    assert [(row.value, row.error) for row in open_clip_values(path).rows()] == [(None, "boom"), ("positive", "")]
    only = open_clip_values(jsonl(tmp_path / "y.jsonl", {"id": "a", "error": "boom"}))
    assert [row.error for row in only.rows()] == ["boom"]


@pytest.mark.parametrize(
    "arrays",
    [
        {"filenames": np.array(3), "fileitems": np.array(3)},
        {"filenames": np.array(["a"]), "fileitems": np.array("b")},
        {"filenames": np.array([["a"]]), "fileitems": np.array([["b"]])},
        {"filenames": np.array(["a", "b"]), "fileitems": np.array(["c"])},
        {"filenames": np.array(["a"])},
        {"name2reason": np.array("x")},
    ],
)
def test_arrays_of_another_shape_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match="AffectGPT repository"):
        open_clip_values(tmp_path / "x.npz")


def test_arrays_inside_an_archive_are_lists(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", name2reason=np.array({"a": np.array(["x", "y"])}, dtype=object))
    assert rows(tmp_path / "x.npz") == [("a", ["x", "y"])]


def test_a_list_of_rows_is_read_as_rows(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{"file": "a.mp4", "text": PROSE, "error": ""}]))
    assert rows(tmp_path / "x.json") == [("a.mp4", PROSE)] and open_clip_values(tmp_path / "x.json").content == "text"
