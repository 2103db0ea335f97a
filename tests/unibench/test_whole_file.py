from __future__ import annotations

import os
from pathlib import Path

import pytest

from affectgpt.unibench import whole_file
from affectgpt.unibench.whole_file import write_whole


def test_a_whole_file_is_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "whole.txt"
    write_whole(path, "first \u00e9 \ud800\n")
    assert path.read_bytes() == "first \u00e9 \\ud800\n".encode()

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(whole_file.os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_whole(path, "second")
    assert path.read_text().startswith("first") and os.listdir(tmp_path) == ["whole.txt"]


def test_what_a_kill_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".whole.txt.part").write_text("half")
    write_whole(tmp_path / "whole.txt", "new")
    assert os.listdir(tmp_path) == ["whole.txt"] and (tmp_path / "whole.txt").read_text() == "new"
