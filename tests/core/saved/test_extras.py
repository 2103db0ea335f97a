"""What stands beside a saved model is copied only when it is what it should be, and nothing outside is touched."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from affectgpt.core.saved.extras import add_mark, check_extras, copy_extras, copy_sidecar
from affectgpt.registry.errors import CheckpointError


def link_inside(model: Path, outside: Path) -> None:
    (model / "released" / "l").symlink_to(outside / "secret.txt")


def folder_link_inside(model: Path, outside: Path) -> None:
    (model / "released" / "l").symlink_to(outside)


def link_to_nothing(model: Path, outside: Path) -> None:
    (model / "released" / "l").symlink_to(outside / "nothing")


def link_itself(model: Path, outside: Path) -> None:
    (model / "released").rmdir()
    (model / "released").symlink_to(outside)


def file_itself(model: Path, outside: Path) -> None:
    (model / "released").rmdir()
    (model / "released").write_text("x")


def fifo(model: Path, outside: Path) -> None:
    os.mkfifo(model / "released" / "f")


def deep(model: Path, outside: Path) -> None:
    (model / "released" / "in").mkdir()


def talking(model: Path, outside: Path) -> None:
    path = os.getcwd()
    os.chdir(model / "released")  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
    os.chdir(path)


@pytest.mark.parametrize(
    "odd", [link_inside, folder_link_inside, link_to_nothing, link_itself, file_itself, fifo, deep, talking]
)
def test_odd_things_are_refused_and_nothing_outside_is_touched(
    odd: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    model, outside, copy = tmp_path / "model", tmp_path / "outside", tmp_path / "made"
    for path in (model / "released", outside, copy):
        path.mkdir(parents=True)
    (outside / "secret.txt").write_text("mine")
    (outside / "secret.txt").chmod(0o600)
    odd(model, outside)
    for act in (lambda: check_extras(model), lambda: copy_sidecar(model, copy), lambda: copy_extras(model, copy)):
        with pytest.raises(CheckpointError, match="not what a conversion leaves") as caught:
            act()
        assert str(model / "released") in str(caught.value)
    assert list(copy.iterdir()) == [] and (outside / "secret.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("card", ["a link", "a link to nothing", "a folder"])
def test_a_card_that_is_no_file_is_refused(card: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("mine")
    model, copy = tmp_path / "model", tmp_path / "made"
    model.mkdir()
    copy.mkdir()
    if card == "a folder":
        (model / "README.md").mkdir()
        (model / "README.md" / "notes").write_text("years of work")
    else:
        (model / "README.md").symlink_to(tmp_path / ("secret.txt" if card == "a link" else "nothing"))
    for act in (lambda: check_extras(model), lambda: copy_extras(model, copy)):
        with pytest.raises(CheckpointError, match="not a model card"):
            act()
    assert list(copy.iterdir()) == []


def test_plain_files_are_copied_and_a_generated_card_is_not(tmp_path: Path) -> None:
    model, copy = tmp_path / "model", tmp_path / "made"
    (model / "released").mkdir(parents=True)
    copy.mkdir()
    check_extras(copy)
    copy_sidecar(copy, copy)
    (model / "released" / "checkpoint.json").write_text("{}")
    (model / "README.md").write_text(add_mark("# made\n"))
    copy_extras(model, copy)
    assert [path.relative_to(copy).as_posix() for path in sorted(copy.rglob("*"))] == [
        "released",
        "released/checkpoint.json",
    ]
    (model / "README.md").write_text("# mine\n")
    (model / "released" / "checkpoint.json").write_text("[]")
    copy_extras(model, copy)
    assert (copy / "README.md").read_text() == "# mine\n"
    assert (copy / "released" / "checkpoint.json").read_text() == "{}", "what is new stays"
