"""A JSON file of somebody else: an object, or an error that says what it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from affectgpt.files.json_object import read_json_object


def test_an_object_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"é": [1]}', encoding="utf-8")
    (tmp_path / "b.json").symlink_to("a.json")
    assert read_json_object(tmp_path / "b.json") == {"é": [1]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[1]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"", "Expecting value"),
        (b"\xff", "decode"),
        (b" " * 1001, "larger than 1,000 bytes"),
    ],
)
def test_what_is_no_object_is_an_error(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_json_object(path, 1000 if b" " in content else 1 << 20)


def test_what_is_no_plain_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("device", "pipe", "folder"):
        with pytest.raises(ValueError, match="not a plain file"):
            read_json_object(tmp_path / name)
    with pytest.raises(OSError, match="No such file"):
        read_json_object(tmp_path / "absent")
