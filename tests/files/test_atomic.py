from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from affectgpt.files import atomic as whole_file
from affectgpt.files.atomic import write_atomic, write_bytes_atomic


def test_a_whole_file_is_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "whole.txt"
    write_atomic(path, "first \u00e9 \ud800\n")
    assert path.read_bytes() == "first \u00e9 \\ud800\n".encode()

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(whole_file.os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_atomic(path, "second")
    assert path.read_text().startswith("first") and os.listdir(tmp_path) == ["whole.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_bytes_are_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "values.bin"
    (tmp_path / ".values.bin.part").write_bytes(b"half")
    write_bytes_atomic(path, b"first")

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match="no"):
        write_bytes_atomic(path, b"second")
    assert path.read_bytes() == b"first" and os.listdir(tmp_path) == ["values.bin"]


def test_what_a_kill_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".whole.txt.part").write_text("half")
    write_atomic(tmp_path / "whole.txt", "new")
    assert os.listdir(tmp_path) == ["whole.txt"] and (tmp_path / "whole.txt").read_text() == "new"


def _write(path: Path, letter: str) -> None:
    for _ in range(60):
        write_atomic(path, letter * 50_000)


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path, context = tmp_path / "whole.txt", multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            text = path.read_text()
            assert len(text) == 50_000 and len(set(text)) == 1
    assert [writer.exitcode for writer in writers] == [0, 0, 0] and os.listdir(tmp_path) == ["whole.txt"]
