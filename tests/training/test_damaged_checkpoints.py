"""Resume passes over a checkpoint that was damaged or made up, says why, and goes on from the one before."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgpt.registry.errors import CheckpointError, RunError
from affectgpt.training import checkpoint_files
from affectgpt.training.checkpoint_files import (
    FACTS,
    MARKER,
    TENSORS,
    CheckpointData,
    newest_checkpoint,
    write_checkpoint,
)


def saved(step: int) -> CheckpointData:
    return CheckpointData(
        step, {"model.a": torch.full((9,), float(step)), "model.b": torch.tensor(step)}, {"step": step}
    )


def same(result: CheckpointData | None, expected: CheckpointData) -> bool:
    assert result is not None
    assert result.step == expected.step and result.facts == expected.facts
    assert result.tensors.keys() == expected.tensors.keys()
    return all(result.tensors[name].equal(tensor) for name, tensor in expected.tensors.items())


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def _change_marker(path: Path, **changes: Any) -> None:
    marker = json.loads((path / MARKER).read_text())
    (path / MARKER).write_text(json.dumps(marker | changes))


def _change_file(path: Path, name: str, **changes: Any) -> None:
    marker = json.loads((path / MARKER).read_text())
    marker["files"][name] |= changes
    (path / MARKER).write_text(json.dumps(marker))


def _resealed(path: Path, name: str, content: bytes) -> None:
    """Another content, to which the marker was made to fit."""
    (path / name).write_bytes(content)
    _change_file(path, name, size=len(content), sha256=checkpoint_files.sha256_of_file(path / name))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _linked(path: Path) -> None:
    shutil.move(path, path.with_name("away"))
    path.symlink_to(path.with_name("away"))


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _foldered(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _sparse(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


class _Code:
    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no marker": (lambda path: (path / MARKER).unlink(), "interrupted"),
    "no tensors": (lambda path: (path / TENSORS).unlink(), "missing"),
    "no facts": (lambda path: (path / FACTS).unlink(), "missing"),
    "truncated": (lambda path: os.truncate(path / TENSORS, 50), "has 50 bytes, not"),
    "empty": (lambda path: os.truncate(path / TENSORS, 0), "has 0 bytes"),
    "longer": (lambda path: _sparse(path / TENSORS, 2**30), "bytes, not"),
    "altered tensors": (lambda path: _flip(path / TENSORS), "altered"),
    "altered facts": (lambda path: _flip(path / FACTS), "altered"),
    "empty marker": (lambda path: (path / MARKER).write_bytes(b""), "no JSON"),
    "half a marker": (lambda path: os.truncate(path / MARKER, 30), "no JSON"),
    "binary marker": (lambda path: (path / MARKER).write_bytes(b"\xff\xfe\x00"), "no JSON"),
    "huge marker": (lambda path: _sparse(path / MARKER, 2**40), "more than"),
    "deep marker": (lambda path: (path / MARKER).write_text("[" * 60000), "no JSON"),
    "list marker": (lambda path: (path / MARKER).write_text("[]"), "no JSON object"),
    "NaN marker": (lambda path: _change_marker(path, step=float("nan")), "no JSON"),
    "other step": (lambda path: _change_marker(path, step=2), "of step 2"),
    "step is true": (lambda path: _change_marker(path, step=True), "does not hold a step"),
    "files is a list": (lambda path: _change_marker(path, files=[TENSORS, FACTS]), "does not hold"),
    "a path in the marker": (lambda path: _change_marker(path, files={"../../secret": {}, FACTS: {}}), "does not hold"),
    "one more file": (lambda path: _change_marker(path, files={TENSORS: {}, FACTS: {}, "/etc/passwd": {}}), "not hold"),
    "size is a list": (lambda path: _change_file(path, TENSORS, size=[1]), "bytes, not"),
    "hash is null": (lambda path: _change_file(path, TENSORS, sha256=None), "altered"),
    "no sizes": (lambda path: _change_marker(path, files={TENSORS: 1, FACTS: "x"}), "bytes, not None"),
    "the folder is a link": (_linked, "no folder"),
    "tensors are a link": (lambda path: _linked(path / TENSORS), "no regular file"),
    "facts are a link": (lambda path: _linked(path / FACTS), "no regular file"),
    "the marker is a link": (lambda path: _linked(path / MARKER), "no regular file"),
    "tensors are a pipe": (lambda path: _piped(path / TENSORS), "no regular file"),
    "the marker is a pipe": (lambda path: _piped(path / MARKER), "no regular file"),
    "the marker is a folder": (lambda path: _foldered(path / MARKER), "no regular file"),
    "infinite facts": (lambda path: _resealed(path, FACTS, b'{"best": 1e400}'), "no JSON"),
    "NaN facts": (lambda path: _resealed(path, FACTS, b'{"best": NaN}'), "no JSON"),
    "deep facts": (lambda path: _resealed(path, FACTS, b'{"a":' * 100000), "no JSON"),
    "a number too long": (lambda path: _resealed(path, FACTS, b'{"a": ' + b"9" * 9999 + b"}"), "no JSON"),
    "facts are a list": (lambda path: _resealed(path, FACTS, b"[1]"), "no JSON object"),
    "a pickle with code": (lambda path: _resealed(path, TENSORS, pickle.dumps(_Code())), "not a complete safetensors"),
    "tensors are text": (lambda path: _resealed(path, TENSORS, b"x" * 999), "not a complete safetensors"),
    "a header too long": (lambda path: _resealed(path, TENSORS, b"\xff" * 8 + b"{}"), "not a complete safetensors"),
    "no tensors at all": (lambda path: _resealed(path, TENSORS, b""), "not a complete safetensors"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_passed_over_with_the_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints"
    write_checkpoint(folder, saved(1), keep=2)
    path = write_checkpoint(folder, saved(3), keep=2)
    damage, reason = DAMAGES[name]
    damage(path)
    with stopped_after(60):
        result, notes = newest_checkpoint(folder)
    assert same(result, saved(1))
    assert len(notes) == 1 and str(path) in notes[0] and reason in notes[0], notes
    assert len(notes[0]) < 600
    assert not Path("executed").exists()
    # Training goes on from step 1, and comes to step 3 again.
    if name != "the folder is a link":
        write_checkpoint(folder, saved(3), keep=2)
        assert same(newest_checkpoint(folder)[0], saved(3))
        assert names(folder) == ["step-00000001", "step-00000003"]


def test_all_damaged_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        os.truncate(write_checkpoint(tmp_path, saved(step), keep=2) / TENSORS, 9)
    result, notes = newest_checkpoint(tmp_path)
    assert result is None and ["00000002" in notes[0], "00000001" in notes[1]] == [True, True]


@pytest.mark.parametrize("name", [TENSORS, FACTS, MARKER, ""])
def test_one_that_cannot_be_read_just_now_is_an_error_and_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, saved(1), keep=2)
    path = write_checkpoint(tmp_path, saved(3), keep=2)
    with monkeypatch.context() as patch:
        _unreadable(patch, path / name)
        with pytest.raises(CheckpointError, match=r"step-00000003: .* cannot be read[\s\S]*try again") as caught:
            newest_checkpoint(tmp_path)
        assert "Input/output error" in str(caught.value)
    assert same(newest_checkpoint(tmp_path)[0], saved(3))


def test_a_mark_that_cannot_be_read_just_now_is_no_missing_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, saved(1), keep=3)
    path = write_checkpoint(tmp_path, saved(2), keep=3)
    with monkeypatch.context() as patch:
        _unreadable(patch, path / MARKER)
        with pytest.raises(RunError, match="Input/output error"):
            write_checkpoint(tmp_path, saved(3), keep=3)
    assert same(newest_checkpoint(tmp_path)[0], saved(2))


def _unreadable(patch: pytest.MonkeyPatch, path: Path) -> None:
    """What a disk that is gone for a moment answers, whoever asks."""
    opened, looked = io.open, os.lstat

    def refuse(question: Any) -> None:
        if isinstance(question, str | os.PathLike) and Path(question) == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def open_(question: Any, *arguments: Any, **options: Any) -> Any:
        refuse(question)
        return opened(question, *arguments, **options)

    def lstat(question: Any, *arguments: Any, **options: Any) -> Any:
        refuse(question)
        return looked(question, *arguments, **options)

    patch.setattr(io, "open", open_)
    patch.setattr(os, "lstat", lstat)
    patch.setattr(Path, "lstat", lambda self: lstat(self))


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="folder of checkpoints"):
        newest_checkpoint(tmp_path / "file")
    with pytest.raises(RunError, match="cannot be written"):
        write_checkpoint(tmp_path / "file", saved(1), keep=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_a_byte_is_taken_for_the_run(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "bytes"
    path = write_checkpoint(folder, saved(3), keep=1)
    name = data.draw(st.sampled_from([TENSORS, FACTS, MARKER]))
    content = bytearray((path / name).read_bytes())
    location = data.draw(st.integers(0, len(content) - 1))
    content[location] ^= data.draw(st.integers(1, 255))
    (path / name).write_bytes(content)
    result, notes = newest_checkpoint(folder)
    # White space in the marker may change.
    assert (result is None and len(notes) == 1) or (name == MARKER and same(result, saved(3)))
