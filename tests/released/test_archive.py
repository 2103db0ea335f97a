"""Archives that two readers would read differently are refused."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from affectgpt.registry.errors import CheckpointError
from affectgpt.released.archive import AmbiguousArchiveError, table_size
from affectgpt.released.read_checkpoint import read_checkpoint

EMPTY = b"\x80\x02}q\x00."


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"model": {"a": torch.ones(3)}, "config": {}, "epoch": 0}, tmp_path / "checkpoint.pth")
    return tmp_path / "checkpoint.pth"


def repacked(path: Path, *more: tuple[str, bytes], rename: Callable[[str], str] = str, method: int = 0) -> Path:
    out = path.with_name("changed.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", method) as new:
        for record in old.infolist():
            new.writestr(rename(record.filename), old.read(record))
        for name, content in more:
            new.writestr(name, content)
    return out


def refused(path: Path, words: str) -> None:
    with pytest.raises(AmbiguousArchiveError, match=words):
        table_size(path)
    with pytest.raises(CheckpointError, match="not a file that"):
        read_checkpoint(path)


def test_what_torch_saves_is_taken(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert table_size(saved) == archive.getinfo("checkpoint/data.pkl").file_size
    assert list(read_checkpoint(saved).model) == ["a"]
    assert table_size(repacked(saved)) == table_size(saved)


@pytest.mark.parametrize(
    "more",
    [
        "second/data.pkl",
        "checkpoint/x/data.pkl",
        "checkpoint/DATA.PKL",
        "other/a",
        "checkpoint/",
        "data.pkl",
        "checkpoint/Version",
        "checkpoint/x\\..\\DATA.pkl/data.pkl",
    ],
)
def test_names_that_another_reader_could_take(more: str, saved: Path) -> None:
    refused(repacked(saved, (more, EMPTY)), "next to those of")


def test_a_table_of_another_case(saved: Path) -> None:
    hidden = repacked(saved, ("checkpoint/x/data.pkl", EMPTY), rename=lambda name: name.replace("data.pkl", "DATA.PKL"))
    refused(hidden, "next to those of")
    refused(repacked(saved, rename=lambda name: name.replace("data.pkl", "DATA.PKL")), "no data.pkl")


def test_packed_records(saved: Path) -> None:
    refused(repacked(saved, method=zipfile.ZIP_DEFLATED), "is compressed")


def test_something_before_or_behind_the_archive(saved: Path) -> None:
    before = saved.with_name("before.pth")
    before.write_bytes(b"x" * 100 + repacked(saved).read_bytes())
    refused(before, "directory is not where")
    behind = saved.with_name("behind.pth")
    behind.write_bytes(repacked(saved).read_bytes() + b"x")
    refused(behind, "after the end")


def test_a_file_of_an_older_format_before_the_archive(saved: Path) -> None:
    # The archive is whole, its directory counts from the start of the file, and torch reads none of it.
    path = saved.with_name("older.pth")
    torch.save({"model": {"other": torch.ones(1)}}, path, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "a") as new:
        for record in old.infolist():
            new.writestr(record.filename, old.read(record))
    assert list(torch.load(path, weights_only=True)["model"]) == ["other"]
    refused(path, "data before the archive")


@pytest.mark.parametrize("more", ["data/aaaa", "data/01", "data/x/1", "DATA/1", "data/", "data/1 ", "data/\u0663"])
def test_values_under_other_names_than_numbers(more: str, saved: Path) -> None:
    refused(repacked(saved, (f"checkpoint/{more}", bytes(12))), "among the numbered")
    capital = repacked(saved, (f"Epoch/{more}", bytes(12)), rename=lambda name: name.replace("checkpoint", "Epoch"))
    refused(capital, "among the numbered")
    assert table_size(repacked(saved, ("checkpoint/data/94023840283", bytes(12)))) == table_size(saved)


def test_a_second_directory_between_the_first_and_the_end(saved: Path) -> None:
    content = repacked(saved).read_bytes()
    end = len(content) - 22
    size, start = struct.unpack_from("<2L", content, end + 12)
    twice = saved.with_name("twice.pth")
    twice.write_bytes(content[:end] + content[start : start + size] + content[end:])
    refused(twice, "directory is not where")


def test_the_end_record_of_large_archives(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    path = content.rindex(b"PK\x06\x06")
    for at in (path + 32, path + 40, path + 48, content.rindex(b"PK\x06\x07") + 8):
        changed = bytearray(content)
        changed[at] ^= 1
        wrong = saved.with_name("wrong.pth")
        wrong.write_bytes(changed)
        with pytest.raises((AmbiguousArchiveError, zipfile.BadZipFile)):
            table_size(wrong)
        with pytest.raises(CheckpointError):
            read_checkpoint(wrong)


def test_records_in_one_another(saved: Path) -> None:
    path = repacked(saved)
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    refused(path, "overlaps another")
