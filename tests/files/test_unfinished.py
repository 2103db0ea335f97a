"""A file or folder takes its place when it is whole; what is in the way, stops or dies meanwhile changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from affectgpt.files.unfinished import remove_unfinished, unfinished
from affectgpt.registry.errors import DataError, RunError

posix = pytest.mark.skipif(os.name != "posix", reason="there are no such signals and locks")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(destination: Path, text: str) -> None:
    with unfinished(destination) as fresh:
        fresh.mkdir()
        (fresh / "a").write_text(text)


def test_a_folder_replaces_the_former_one(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_folder(tmp_path / "deep" / "out", text)
        assert (tmp_path / "deep" / "out" / "a").read_text() == text and names(tmp_path / "deep") == ["out"]


def test_a_file_replaces_a_file_and_no_folder(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with unfinished(tmp_path / "out") as fresh:
            fresh.write_text(text)
        assert (tmp_path / "out").read_text() == text
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with pytest.raises(OSError), unfinished(tmp_path / "folder") as fresh:
        fresh.write_text("x")
    assert names(tmp_path) == ["folder", "out"] and names(tmp_path / "folder") == ["mine"]


@pytest.mark.parametrize(
    "error", [ValueError(), OSError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr
)
def test_an_exception_leaves_all_as_it_was(error: BaseException, tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "one")
    with pytest.raises(type(error)), unfinished(tmp_path / "out") as fresh:
        fresh.mkdir()
        (fresh / "a").write_text("two")
        raise error
    assert (tmp_path / "out" / "a").read_text() == "one" and names(tmp_path) == ["out"]


def test_ctrl_c_between_the_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", "one")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("affectgpt.files.unfinished.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "out", "two")
    assert (tmp_path / "out" / "a").read_text() == "one" and names(tmp_path) == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from affectgpt.files import unfinished as module
replace = os.replace
def die(*paths):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "between":
    os.replace = die
with module.unfinished(Path(sys.argv[1])) as fresh:
    fresh.mkdir()
    (fresh / "a").write_text("two")
    if sys.argv[2] == "wait":
        print("ready", flush=True)
        sys.stdin.read()
    if sys.argv[2] == "within":
        die()
"""


@posix
@pytest.mark.parametrize("moment", ["within", "between"])
def test_the_next_writer_removes_what_a_kill_left(moment: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, "one")
    # Names that look like ours and are not.
    for name in (".affectgpt-notes", ".out.backup", ".affectgpt-0123456789abcdef"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "new").touch()
    before = names(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out), moment], timeout=60)
    assert killed.returncode == -signal.SIGKILL and len(names(tmp_path)) == len(before) + (moment == "within")
    remove_unfinished(tmp_path / "other")
    assert names(tmp_path) != before
    remove_unfinished(out)
    assert names(tmp_path) == before and (out / "a").read_text() == "one"
    subprocess.run([sys.executable, "-c", KILLED, str(out), moment], timeout=60)
    write_folder(out, "three")
    assert names(tmp_path) == before and (out / "a").read_text() == "three"


@posix
def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(out), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        before = names(tmp_path)
        remove_unfinished(out)
        with pytest.raises(DataError, match="another process"):
            write_folder(out, "mine")
        assert names(tmp_path) == before
        write_folder(tmp_path / "other", "mine")
        process.communicate("", timeout=60)
    assert (out / "a").read_text() == "two" and names(tmp_path) == ["other", "out"]


@posix
def test_a_link_with_the_name_of_a_hidden_folder_is_not_followed(tmp_path: Path) -> None:
    with unfinished(tmp_path / "out") as fresh:
        room = fresh.parent
        fresh.touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "new").write_text("precious")
    (tmp_path / "mine" / ".lock").touch()
    room.symlink_to(tmp_path / "mine")
    (tmp_path / "out").unlink()
    write_folder(tmp_path / "out", "two")
    assert (tmp_path / "mine" / "new").read_text() == "precious" and (tmp_path / "out" / "a").read_text() == "two"


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()], ids=repr)
def test_the_only_copy_is_kept_when_it_cannot_be_put_back(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", os.rename
    write_folder(out, "one")

    def fail(*_: Any) -> None:
        raise OSError("the disk is gone")

    def fail_to_restore(source: Any, target: Any) -> None:
        if Path(source).name == "old":
            raise error
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("affectgpt.files.unfinished.os.replace", fail)
        patch.setattr("affectgpt.files.unfinished.os.rename", fail_to_restore)
        with pytest.raises(type(error)):
            write_folder(out, "two")
        assert not out.exists()
        with pytest.raises(type(error)):
            remove_unfinished(out)
    remove_unfinished(out)
    assert (out / "a").read_text() == "one" and names(tmp_path) == ["out"]


def test_another_thread_removes_nothing_and_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with unfinished(out) as fresh:
        fresh.write_text("mine")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(remove_unfinished, out).result()
            refused = pool.submit(write_folder, out, "other")
            assert isinstance(refused.exception(), DataError)
        assert fresh.read_text() == "mine"
    assert out.read_text() == "mine" and names(tmp_path) == ["out"]


def test_without_locks_nothing_of_others_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lock(*_: Any) -> bool:
        raise RunError("this file system has no locks")

    monkeypatch.setattr("affectgpt.files.unfinished.lock", no_lock)
    with unfinished(tmp_path / "out") as fresh:
        fresh.write_text("mine")
        room, elsewhere = fresh.parent, fresh.parent.with_name(fresh.parent.name + "x")
        elsewhere.mkdir()
        (elsewhere / ".lock").touch()
        remove_unfinished(tmp_path / "out")
        assert fresh.exists() and elsewhere.exists() and room.exists()
    assert (tmp_path / "out").read_text() == "mine"


def test_a_long_name_leaves_room(tmp_path: Path) -> None:
    write_folder(tmp_path / ("x" * 255), "one")
    assert names(tmp_path) == ["x" * 255]
