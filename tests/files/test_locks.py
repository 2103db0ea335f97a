"""One process at a time, where the file system can tell."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from affectgpt.files.locks import LOCK_FILE, exclusive, lock
from affectgpt.registry.errors import DataError, RunError


def failing(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def lockf(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "lockf", lockf)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    failing(monkeypatch, code)
    with pytest.raises(RunError) as of_folder, exclusive(tmp_path / "run"):
        pytest.fail("was let in")
    with (tmp_path / "rows").open("ab") as file, pytest.raises(RunError) as of_file:
        lock(file, tmp_path / "rows")
    for caught, path in ((of_folder, tmp_path / "run"), (of_file, tmp_path / "rows")):
        (problem,) = caught.value.problems
        assert "file system" in problem.what and "no locks" in problem.what and "another file system" in problem.hint
        assert problem.where == str(path) and problem.found == os.strerror(code)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EACCES], ids=errno.errorcode.get)
def test_a_lock_that_another_holds_is_no_fault_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failing(monkeypatch, code)
    with pytest.raises(DataError, match="another process is writing here"), exclusive(tmp_path):
        pytest.fail("was let in")


def test_what_fails_inside_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), exclusive(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
        raise OSError("mine")
