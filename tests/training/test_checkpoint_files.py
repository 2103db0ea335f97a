"""A checkpoint is there whole, or it is none, whatever stops its writing: kills, full disks."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.registry.errors import RunError
from affectgpt.training import checkpoint_files
from affectgpt.training.checkpoint_files import (
    FACTS,
    MARKER,
    TENSORS,
    CheckpointData,
    newest_checkpoint,
    write_checkpoint,
)

FACTS_GIVEN = {"epoch": 3, "best": 0.1 + 0.2, "random": [1, 2**31], "none": None, "text": "á\ud800", "flag": True}


def saved(step: int, size: int = 4) -> CheckpointData:
    tensors = {
        "model.a": torch.full((size,), float(step)),
        "model.b": torch.tensor(step),
        "optimizer.a.step": torch.zeros(()),
        "half": torch.tensor([0.1, float("nan")], dtype=torch.bfloat16),
        "empty": torch.zeros(0, 3),
        "state": torch.arange(5, dtype=torch.uint8),
    }
    return CheckpointData(step, tensors, FACTS_GIVEN | {"step": step})


def same(result: CheckpointData | None, expected: CheckpointData) -> bool:
    assert result is not None
    assert result.step == expected.step and result.facts == expected.facts
    assert result.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        second = result.tensors[name]
        assert second.dtype == tensor.dtype and second.shape == tensor.shape
        assert second.flatten().view(torch.uint8).equal(tensor.flatten().view(torch.uint8))
    return True


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "checkpoints"
    path = write_checkpoint(folder, saved(120), keep=2)
    assert path == folder / "step-00000120"
    assert names(path) == [MARKER, FACTS, TENSORS]
    marker = json.loads((path / MARKER).read_text())
    assert marker["step"] == 120 and marker["files"][TENSORS]["size"] == (path / TENSORS).stat().st_size
    result, notes = newest_checkpoint(folder)
    assert same(result, saved(120)) and notes == []
    assert newest_checkpoint(tmp_path / "nowhere") == (None, [])


def test_the_newest_is_read_and_the_oldest_goes(tmp_path: Path) -> None:
    for step in (9, 10, 100, 1000):
        write_checkpoint(tmp_path, saved(step), keep=2)
    assert names(tmp_path) == ["step-00000100", "step-00001000"]
    assert same(newest_checkpoint(tmp_path)[0], saved(1000))
    write_checkpoint(tmp_path, saved(10**8), keep=1)
    assert names(tmp_path) == ["step-100000000"]


def test_a_step_is_written_again(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, saved(4, size=1), keep=2)
    write_checkpoint(tmp_path, saved(8, size=1), keep=2)
    (tmp_path / "step-00000008" / TENSORS).write_bytes(b"damaged")
    write_checkpoint(tmp_path, saved(8), keep=2)
    assert same(newest_checkpoint(tmp_path)[0], saved(8))
    # What came after a step that is being taken again was not continued from: it must not be, later.
    write_checkpoint(tmp_path, saved(5), keep=2)
    assert names(tmp_path) == ["step-00000004", "step-00000005"]


def test_leftovers_of_killed_writes_go_and_nothing_else_does(tmp_path: Path) -> None:
    for name in (".step-00000007.part", "step-00000007", "step-7", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / TENSORS).write_bytes(b"half")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "step-00000003").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "step-00000002").write_bytes(b"a file")
    result, notes = newest_checkpoint(tmp_path)
    assert result is None and len(notes) == 3
    write_checkpoint(tmp_path, saved(1), keep=1)
    assert names(tmp_path) == ["elsewhere", "other", "step-00000001", "step-00000002", "step-00000003", "step-7"]


def test_facts_are_plain_and_finite(tmp_path: Path) -> None:
    for facts in ({"best": float("inf")}, {"best": float("nan")}):
        with pytest.raises(ValueError):
            write_checkpoint(tmp_path, replace(saved(1), facts=facts), keep=1)
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path, replace(saved(1), facts={"random": torch.zeros(1)}), keep=1)
    with pytest.raises(ValueError):
        write_checkpoint(tmp_path, saved(1), keep=0)
    assert names(tmp_path) == []


def test_a_step_whose_place_is_taken_is_not_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, saved(1), keep=1)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "step-00000002").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot be written"):
        write_checkpoint(tmp_path, saved(2), keep=1)
    assert same(newest_checkpoint(tmp_path)[0], saved(1))
    assert names(tmp_path) == ["elsewhere", "step-00000001", "step-00000002"]


def _in_child(work: Callable[[], object]) -> int:
    """The exit code of a forked process that does `work`: 0, 1 for RunError, -9 when it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            work()
            code = 0
        except RunError:
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


CALLS = ("mkdir", "replace", "fsync", "unlink", "rmdir", "open", "scandir")


def _at_call(number: int, do: Callable[[], object]) -> Callable[..., Any]:
    """Patches the calls that change the disk so that `do` is called before the call of this number."""
    results = [0]

    def patched(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            results[0] += 1
            if results[0] == number:
                do()
            return call(*arguments, **options)

        return wrapper

    return patched


def _patch(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], object]) -> None:
    patched = _at_call(number, do)
    for name in CALLS:
        monkeypatch.setattr(os, name, patched(getattr(os, name)))
    monkeypatch.setattr(io, "open", patched(io.open))
    monkeypatch.setattr(checkpoint_files, "save_file", patched(checkpoint_files.save_file))


@pytest.mark.parametrize("keep", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_kill_before_any_call_leaves_a_whole_one(keep: int, tmp_path: Path) -> None:
    for number in range(1, 200):
        folder = tmp_path / str(number)
        for step in (1, 2):
            write_checkpoint(folder, saved(step), keep=2)

        def write(number: int = number, folder: Path = folder) -> None:
            with pytest.MonkeyPatch.context() as patch:
                _patch(patch, number, lambda: os.kill(os.getpid(), signal.SIGKILL))
                write_checkpoint(folder, saved(3), keep)

        code = _in_child(write)
        result, _ = newest_checkpoint(folder)
        assert result is not None and same(result, saved(result.step)) and result.step in (2, 3)
        write_checkpoint(folder, saved(3), keep)
        assert same(newest_checkpoint(folder)[0], saved(3))
        assert names(folder) == ["step-00000002", "step-00000003"][-keep:]
        if code == 0:
            break
    assert code == 0 and number > 20


def test_a_failure_of_any_call_is_told_and_former_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened = []

    def full() -> None:
        happened.append(number)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    outcomes = []
    for number in range(1, 200):
        folder = tmp_path / str(number)
        # Step 3 is there already, from a run before this one.
        for step in (2, 3):
            write_checkpoint(folder, saved(step, size=1), keep=2)
        before = files(folder)
        with monkeypatch.context() as patch:
            _patch(patch, number, full)
            try:
                write_checkpoint(folder, saved(3), keep=2)
            except RunError as error:
                assert "No space left on device" in str(error)
        if number not in happened:
            break
        after = files(folder)
        result, notes = newest_checkpoint(folder)
        assert result is not None and notes == []
        outcomes.append(after == before)
        # Untouched, or complete: the failure was then in the removal of what it takes the place of.
        assert after == before or same(result, saved(3))
        write_checkpoint(folder, saved(3), keep=2)
        assert names(folder) == ["step-00000002", "step-00000003"] and same(newest_checkpoint(folder)[0], saved(3))
    assert outcomes.count(True) > 15


@pytest.mark.parametrize("room", [0, 1, 100, 900, 1200])
def test_a_full_disk_leaves_what_was_there(room: int, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, saved(1), keep=2)
    before = files(tmp_path)

    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        write_checkpoint(tmp_path, saved(2, size=200), keep=2)

    assert _in_child(write) == 1
    assert files(tmp_path) == before
    write_checkpoint(tmp_path, saved(2, size=200), keep=2)
    assert same(newest_checkpoint(tmp_path)[0], saved(2, size=200))


def test_all_is_on_the_disk_before_the_mark_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = []
    fsync, rename = os.fsync, os.replace

    def synced(handle: int) -> None:
        events.append("sync " + os.path.relpath(os.readlink(f"/proc/self/fd/{handle}"), tmp_path))
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        events.append("rename to " + os.path.relpath(target, tmp_path))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_checkpoint(tmp_path, saved(1), keep=1)
    path = "step-00000001"
    assert events == [
        f"sync .{path}.part/{TENSORS}",
        f"sync .{path}.part/{FACTS}",
        f"sync .{path}.part",
        f"rename to {path}",
        "sync .",
        f"sync {path}/.{MARKER}.part",
        f"rename to {path}/{MARKER}",
        f"sync {path}",
    ]
