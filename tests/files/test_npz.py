"""Archives of arrays: what numpy writes is read, what lies about its size or kind is refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgpt.files.npz import read_npz
from affectgpt.registry.errors import DataError

LABELS = {"a_1": {"emo": "happy", "val": 0.5}, "b_2": {"emo": 3, "val": np.float64(-1)}}


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refusal(path: Path, **options: int) -> str:
    with pytest.raises(DataError) as caught:
        read_npz(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    items = np.array(["x, y", ""])
    save(
        path,
        allow_pickle=True,
        test_corpus=LABELS,
        train_corpus={},
        fileitems=items,
        columns=np.asfortranarray(np.ones((2, 3))),
        mixed=np.array([1, "a"], dtype=object),
    )
    arrays = read_npz(path)
    assert list(arrays) == ["test_corpus", "train_corpus", "fileitems", "columns", "mixed"]
    assert arrays["test_corpus"] == LABELS and arrays["train_corpus"] == {}
    assert np.array_equal(arrays["fileitems"], items) and np.array_equal(arrays["columns"], np.ones((2, 3)))
    assert arrays["mixed"].tolist() == [1, "a"]
    assert all(
        np.array_equal(arrays[name], value)
        for name, value in np.load(path, allow_pickle=True).items()
        if name not in ("test_corpus", "train_corpus")
    )


def test_empty_text_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", none=np.array([], "U"), nothing=np.zeros((0, 5)))
    arrays = read_npz(tmp_path / "a.npz")
    assert arrays["none"].shape == (0,) and arrays["nothing"].shape == (0, 5)


def test_code_in_a_member_is_named_and_not_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'witness'}",)

    text = refusal(archive(tmp_path / "a.npz", {"good.npy": npy(LABELS), "bad.npy": npy({"a": Runs()})}))
    assert "'bad'" in text and "system" in text and not (tmp_path / "witness").exists()


def header(description: str, version: bytes = b"\1\0") -> bytes:
    text = description.encode() + b"\n"
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text


def described(descr: str, shape: str, order: str = "False") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")


BAD_ARRAYS = {
    "more than is there": described("'<f8'", "(1000000000000,)") + b"abcdefgh",
    "less than is there": described("'<f8'", "(1,)") + b"abcdefgh" * 2,
    "a negative side": described("'<f8'", "(-1,)") + b"abcdefgh",
    "nothing, many times": described("'<U0'", "(1000000000000,)"),
    "too many sides": described("'<f8'", str((1,) * 100)) + b"abcdefgh",
    "fields": described("[('a', '<f8')]", "(1,)") + b"abcdefgh",
    "dates": described("'<M8[s]'", "(1,)") + b"abcdefgh",
    "code in the header": header("__import__('os').system('true')"),
    "a long header": header("{" + " " * 20_000 + "}"),
    "a deep header": header("(" * 5_000),
    "a later version": header("{}", b"\3\0"),
    "an unknown version": header("{}", b"\x09\0"),
    "no array": b"words",
    "nothing": b"",
    "objects of another shape": described("'|O'", "(2,)") + pickle.dumps(np.array([1], dtype=object)),
    "no objects": described("'|O'", "()") + pickle.dumps([1]),
    "numbers in the place of objects": described("'|O'", "(1,)") + pickle.dumps(np.array([1])),
    "a cut pickle": npy(LABELS)[:-20],
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_lie_are_refused(tmp_path: Path, case: str) -> None:
    refusal(archive(tmp_path / "a.npz", {"a.npy": BAD_ARRAYS[case]}))


def test_a_text_that_is_shared_thousands_of_times_is_refused(tmp_path: Path) -> None:
    word = "x" * 1_000_000
    labels = {f"n{number}": {"emo": word} for number in range(3000)}
    path = archive(tmp_path / "a.npz", {"test_corpus.npy": npy(labels)})
    assert path.stat().st_size < 50_000
    assert "unfold" in refusal(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.zeros(30_000_000, np.uint8))})
    assert path.stat().st_size < 100_000
    assert "30,000,128 bytes when unpacked" in refusal(path, max_bytes=1_000_000)
    many = archive(tmp_path / "b.npz", {f"{number}.npy": npy(np.zeros(600_000, np.uint8)) for number in range(2)})
    refusal(many, max_bytes=1_000_000)


def test_a_member_that_states_too_small_a_size_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.zeros(10_000, np.uint8))})
    data = path.read_bytes()
    stated = struct.pack("<I", 10_128)
    assert data.count(stated) == 2
    path.write_bytes(data.replace(stated, struct.pack("<I", 128)))
    refusal(path)


def test_a_list_of_members_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {f"{number:06}": b"" for number in range(45_000)}, zipfile.ZIP_STORED)
    assert "a list of members" in refusal(path)
    fewer = archive(tmp_path / "b.npz", {f"{number}": b"" for number in range(1001)}, zipfile.ZIP_STORED)
    assert "1,001 members" in refusal(fewer)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", npy(1))
        file.writestr("a", npy(2))
    assert "one name" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_numpy_does_not_use_is_refused(tmp_path: Path, compression: int) -> None:
    assert "numpy does not use" in refusal(archive(tmp_path / "a.npz", {"a.npy": npy(1)}, compression))


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    content = archive(tmp_path / "whole.npz", {"a.npy": npy(LABELS)}).read_bytes()
    for name, data in {"empty": b"", "text": b"words", "cut": content[:-30], "head": content[:60]}.items():
        (tmp_path / name).write_bytes(data)
        refusal(tmp_path / name)
    damaged = bytearray(content)
    damaged[60] ^= 255
    (tmp_path / "damaged").write_bytes(damaged)
    refusal(tmp_path / "damaged")
    assert "no such file" in refusal(tmp_path / "nowhere")
    assert "not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refusal(tmp_path / "pipe")
    assert "too large" in refusal(tmp_path / "whole.npz", max_bytes=10)
