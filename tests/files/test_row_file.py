from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.files import row_file
from affectgpt.files.row_file import open_row_file, read_settings
from affectgpt.registry.errors import DataError, RunError

SETTINGS = {"model": "m", "seed": 0}
IDS = [f"clip {i}" for i in range(10)]


def fill(path: Path, *, upto: int = 99, batch: int = 4, ids: list[str] = IDS, settings: Any = SETTINGS) -> int:
    """Write batches until `upto` rows are there; gives how many were there before."""
    with open_row_file(path, settings, ids, batch) as rows:
        before = rows.done
        while rows.done < min(upto, len(ids)):
            names = ids[rows.done : rows.done + batch]
            rows.append([{"id": name, "text": f"é {name} \ud800"} for name in names])
        return before


def test_rows_come_in_order_and_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "rows.jsonl"
    assert fill(path) == 0
    lines = path.read_bytes().split(b"\n")
    assert [json.loads(line.decode("utf-8"))["id"] for line in lines[:-1]] == IDS and lines[-1] == b""
    content = path.read_bytes()
    assert fill(path) == 10 and path.read_bytes() == content and read_settings(path) == SETTINGS


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1))
def test_a_file_cut_anywhere_goes_on_to_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    fill(path)
    content = path.read_bytes()
    length = round(share * len(content))
    path.write_bytes(content[:length])
    before = fill(path)
    assert path.read_bytes() == content
    rows = content[:length].count(b"\n")
    assert before == (rows if rows == len(IDS) else rows // 4 * 4)


def test_other_settings_clips_or_rows_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fill(path, upto=8)
    content = path.read_bytes()
    with pytest.raises(DataError, match="seed 0") as caught:
        fill(path, settings={**SETTINGS, "seed": 1})
    assert "seed 1" in str(caught.value) and "model" not in str(caught.value)
    with pytest.raises(DataError, match="other rows"):
        fill(path, ids=[*IDS[:3], "another", *IDS[4:]])
    with pytest.raises(DataError, match="other rows"):
        fill(path, ids=IDS[:5])
    path.with_suffix(".run.json").unlink()
    with pytest.raises(DataError, match="did not begin"):
        fill(path)
    assert path.read_bytes() == content


def test_settings_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fill(path)
    path.with_suffix(".run.json").write_text("{")
    with pytest.raises(DataError, match="settings of a run"):
        fill(path)


def test_a_line_that_is_no_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fill(path, upto=4)
    with path.open("ab") as file:
        file.write(b"something else\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:5"):
        fill(path)


def test_rows_out_of_order_are_a_fault_of_the_caller(tmp_path: Path) -> None:
    with open_row_file(tmp_path / "rows.jsonl", SETTINGS, IDS, 4) as rows, pytest.raises(ValueError, match="order"):
        rows.append([{"id": "clip 1"}])


def _hold(path: Path, ready: Any, release: Any) -> None:
    with open_row_file(path, SETTINGS, IDS, 4):
        ready.set()
        release.wait(30)


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, finished = context.Event(), context.Event()
    second = context.Process(target=_hold, args=(tmp_path / "rows.jsonl", ready, finished))
    second.start()
    try:
        assert ready.wait(30)
        with pytest.raises(DataError, match="another process"):
            fill(tmp_path / "rows.jsonl")
    finally:
        finished.set()
        second.join(30)
    assert fill(tmp_path / "rows.jsonl") == 0


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_file.os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        fill(tmp_path / "rows.jsonl")
    monkeypatch.undo()
    fill(tmp_path / "rows.jsonl")


def test_settings_that_are_no_json_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.with_suffix(".run.json").write_text('{"seed": NaN}')
    with pytest.raises(DataError, match="NaN"):
        read_settings(path)


def test_what_goes_wrong_beside_the_file_is_not_told_as_its_own(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), open_row_file(tmp_path / "rows.jsonl", SETTINGS, IDS, 1):
        raise BrokenPipeError


def test_rows_with_an_error_are_counted_also_when_the_file_goes_on(tmp_path: Path) -> None:
    with open_row_file(tmp_path / "rows.jsonl", SETTINGS, IDS, 2) as rows:
        rows.append([{"id": IDS[0], "error": "no"}, {"id": IDS[1]}])
        rows.append([{"id": IDS[2], "error": "no"}])
        assert rows.failed == 2
    with open_row_file(tmp_path / "rows.jsonl", SETTINGS, IDS, 2) as rows:
        assert (rows.done, rows.failed) == (2, 1)


def test_a_file_of_an_earlier_release_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for release in ("0.1.0", "0.2.0"):
        with open_row_file(path, SETTINGS | {"versions": {"affectgpt": release, "torch": "2"}}, IDS, 4):
            pass
    with (
        pytest.raises(DataError, match="versions"),
        open_row_file(path, SETTINGS | {"versions": {"affectgpt": "0.1.0", "torch": "3"}}, IDS, 4),
    ):
        pass
