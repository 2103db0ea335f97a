"""Pickles that torch would take without end to load, or that make something other of a checkpoint than it looks."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.registry.errors import CheckpointError
from affectgpt.released import saved_pickle
from affectgpt.released.read_checkpoint import MAX_CONFIG, MAX_DEPTH, is_json, read_checkpoint
from affectgpt.released.saved_pickle import CallingPickleError, check_pickle

ORDERED = b"ccollections\nOrderedDict\n"
EMPTY = ORDERED + b")R"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content.encode())) + content.encode()


def storage(name: bytes = text("0"), count: bytes = b"K\x02", kind: bytes = b"ctorch\nFloatStorage\n") -> bytes:
    return b"(" + text("storage") + kind + name + text("cpu") + count + b"tQ"


def tensor(**changes: bytes) -> bytes:
    """The steps of a tensor of two numbers as torch.save writes them, some changed."""
    parts = {
        "storage": storage(),
        "offset": b"K\x00",
        "size": b"K\x02\x85",
        "stride": b"K\x01\x85",
        "grad": b"\x89",
        "hooks": EMPTY,
        "more": b"",
    }
    return TENSOR + b"(" + b"".join((parts | changes).values()) + b"tR"


def dict_of(key: bytes, value: bytes) -> bytes:
    return b"}" + key + value + b"s"


def complete_pickle(steps: bytes) -> bytes:
    return b"\x80\x02" + steps + b"."


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def call(table: bytes) -> Path:
        path = tmp_path / "made.pth"
        with zipfile.ZipFile(path, "w") as archive:
            records = {"data.pkl": table, "version": b"3\n", "byteorder": b"little", "data/0": b"0" * 8}
            for name, content in records.items():
                archive.writestr(f"made/{name}", content)
        return path

    return call


def checkpoint(**parts: bytes) -> bytes:
    parts = {"model": dict_of(text("a"), tensor()), "config": b"}", "epoch": b"K\x05"} | parts
    return complete_pickle(b"}(" + b"".join(text(name) + part for name, part in parts.items()) + b"u")


# -- what torch.save writes


def test_what_is_written_here_is_a_checkpoint(write: Callable[[bytes], Path]) -> None:
    result = read_checkpoint(write(checkpoint()))
    assert result.epoch == 5 and result.model["a"].shape == (2,)


def test_all_that_a_training_run_saves(tmp_path: Path) -> None:
    model = torch.nn.Sequential(*[torch.nn.Linear(3, 2) for _ in range(150)], torch.nn.BatchNorm1d(2))
    model[0].half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    retained = model.state_dict(keep_vars=True)  # Parameters, with `_metadata` beside them.
    config = OrderedDict(model={"names": ["a", ("b", 2.5, None, True)]}, run={"seed": 2**70})
    state = optimizer.state_dict()
    state["state"][2**45] = {}
    content = {
        "model": model.state_dict(),
        "kept": retained,
        "optimizer": state,
        "config": config,
        "epoch": 60,
        "scaler": {"scale": 65536.0, "growth": (2, -1)},
        "empty": torch.zeros(0, 3),
        "one": torch.ones(()),
    }
    torch.save(content, tmp_path / "saved.pth")
    result = read_checkpoint(tmp_path / "saved.pth")
    assert list(result.model) == list(retained) and result.epoch == 60
    assert result.config == {"model": {"names": ["a", ["b", 2.5, None, True]]}, "run": {"seed": 2**70}}


# -- what it does not


def wide_key(width: int, depth: int) -> bytes:
    """A tuple of one tuple many times, this one of another many times, and so on."""
    steps = b"K\x01"
    for path in range(depth):
        steps = b"(" + steps + b"q%c" % path + b"h%c" % path * (width - 1) + b"t"
    return steps


def doubled_list(times: int) -> bytes:
    """A list that holds one list twice, this one another twice, and so on."""
    steps = b"]"
    for path in range(times):
        steps = b"](" + steps + b"q%ch%ce" % (path, path)
    return steps


NOT_SAVED: dict[str, tuple[bytes, str]] = {
    "a tuple as a key": (dict_of(wide_key(10, 3), b"N"), "neither a text nor a number"),
    "a tuple as one of several keys": (b"}(" + text("a") + b"NK\x01\x85Nu", "neither a text nor a number"),
    "a tuple as a key of an ordered dict": (EMPTY + b"K\x01\x85Ns", "neither a text nor a number"),
    "a number as a key whose hash is that of others": (
        dict_of(b"\x8a\x08" + struct.pack("<q", 2**61 - 1), b"N"),
        "neither a text nor a number",
    ),
    "a fraction as a key": (dict_of(b"G" + struct.pack(">d", 2.0**61), b"N"), "neither a text nor a number"),
    "items of a tensor": (tensor() + text("a") + b"Ns", "holds nothing"),
    "something added to a tuple": (b")Na", "holds nothing"),
    "things added to a dict": (b"}(Ne", "holds nothing"),
    "an attribute that is a method": (EMPTY + dict_of(text("get"), b"N") + b"b", "something other"),
    "an attribute beside the usual one": (
        EMPTY + b"}(" + text("_metadata") + EMPTY + text("get") + b"Nub",
        "something other",
    ),
    "attributes that are no dict": (EMPTY + b"](" + text("_metadata") + b"N\x86eb", "something other"),
    "attributes of an ordered dict": (EMPTY + EMPTY + text("_metadata") + b"Nsb", "something other"),
    "attributes of a tensor": (tensor() + dict_of(text("_metadata"), b"N") + b"b", "something other"),
    "a storage named twice": (storage(text("00")), "a storage is named"),
    "a storage with letters": (storage(text("AAaa")), "a storage is named"),
    "a storage named by a number": (storage(b"K\x00"), "a storage is named"),
    "a storage of no kind": (storage(kind=TENSOR), "a storage is named"),
    "a storage of too few parts": (text("storage") + b"\x85Q", "a storage is named"),
    "a storage of a length that is none": (storage(count=doubled_list(5)), "a storage is named"),
    "a step that is taken by others": (b"}0}", "POP"),
    "a step of other versions": (b"\x8c\x01a", "SHORT_BINUNICODE"),
    "nothing in the memo": (b"h\x05", "damaged"),
    "a memo with a gap": (b"}q\x01", "out of order"),
    "a memo written over": (b"}q\x00q\x00", "out of order"),
    "nothing marked": (b"t", "damaged"),
    "nothing on this side of the mark": (b"K\x01(\x85", "damaged"),
}
CALLS: dict[str, tuple[bytes, str]] = {
    "of a list": (doubled_list(5) + b")R", "no function"),
    "of a text": (text("collections OrderedDict") + b")R", "no function"),
    "of what was made": (EMPTY + b")R", "no function"),
    "of a kind of storage": (b"ctorch\nFloatStorage\n)R", "no function"),
    "with a list": (ORDERED + doubled_list(5) + b"R", "OrderedDict with unusual"),
    "with pairs of tuples": (ORDERED + b"](" + wide_key(10, 3) + b"N\x86e\x85R", "OrderedDict with unusual"),
    "with a storage that is none": (tensor(storage=doubled_list(5)), "_rebuild_tensor_v2 with unusual"),
    "with a kind of storage": (tensor(storage=b"ctorch\nFloatStorage\n"), "_rebuild_tensor_v2 with unusual"),
    "with sizes that are lists": (tensor(size=doubled_list(5)), "_rebuild_tensor_v2 with unusual"),
    "with lists as sizes": (tensor(size=doubled_list(5) + b"\x85"), "_rebuild_tensor_v2 with unusual"),
    "with lists as strides": (tensor(stride=doubled_list(5) + b"\x85"), "_rebuild_tensor_v2 with unusual"),
    "with an offset that is none": (tensor(offset=doubled_list(5)), "_rebuild_tensor_v2 with unusual"),
    "with hooks that are none": (tensor(hooks=doubled_list(5)), "_rebuild_tensor_v2 with unusual"),
    "with attributes": (tensor(more=b"}"), "_rebuild_tensor_v2 with unusual"),
    "with no tensor": (
        b"ctorch._utils\n_rebuild_parameter\n(" + doubled_list(5) + b"\x88" + EMPTY + b"tR",
        "_rebuild_parameter with unusual",
    ),
    "for a new object": (b"ctorch\nFloatStorage\n)\x81", "NEWOBJ"),
}


@pytest.mark.parametrize("case", NOT_SAVED)
def test_what_torch_does_not_save(case: str, write: Callable[[bytes], Path]) -> None:
    steps, words = NOT_SAVED[case]
    with pytest.raises(ValueError, match=words):
        check_pickle(complete_pickle(steps))
    with pytest.raises(CheckpointError, match=words) as caught:
        read_checkpoint(write(checkpoint(more=steps)))
    assert "not a whole checkpoint" in str(caught.value)


@pytest.mark.parametrize("case", CALLS)
def test_calls_that_torch_does_not_save(case: str, write: Callable[[bytes], Path]) -> None:
    steps, words = CALLS[case]
    with pytest.raises(CallingPickleError, match=words):
        check_pickle(complete_pickle(steps))
    with pytest.raises(CheckpointError, match="to be run"):
        read_checkpoint(write(checkpoint(more=steps)))


def test_tuples_that_unfold_without_end_are_not_looked_into() -> None:
    check_pickle(complete_pickle(dict_of(text("a"), wide_key(200, 100))))
    with pytest.raises(CallingPickleError, match="no function"):
        check_pickle(complete_pickle(wide_key(200, 100) + b")R"))
    with pytest.raises(CallingPickleError, match="OrderedDict with unusual"):
        check_pickle(complete_pickle(ORDERED + wide_key(200, 100) + b"R"))
    with pytest.raises(ValueError, match="neither a text"):
        check_pickle(complete_pickle(dict_of(wide_key(200, 100), b"N")))


MANY = {
    "dicts": (b"}", 1),
    "lists": (b"]", 1),
    "nothing": (b"N", 10),
    "marks": (b"(", 10),
    "ordered dicts": (EMPTY + b"0", 1),
    "storages": (b"h\x00Q", 1),
}


@pytest.mark.parametrize("case", MANY)
@pytest.mark.parametrize("part", [100, pytest.param(1, marks=pytest.mark.slow)], ids=["lower limits", "limits"])
def test_more_than_a_checkpoint_holds_is_not_followed_to_its_end(
    case: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_pickle, "_MOST_STEPS", 3_000_000 // part)
    monkeypatch.setattr(saved_pickle, "_MOST_VALUES", 300_000 // part)
    (steps, times), count = MANY[case], 310_000 // part
    before = storage().removesuffix(b"Q") + b"q\x00" if case == "storages" else b""
    steps = ORDERED + b"q\x00" + b"h\x00)R" * count if case == "ordered dicts" else before + steps * count * times
    with pytest.raises(ValueError, match="more values than"):
        check_pickle(complete_pickle(steps))


def test_numbers_as_keys_are_as_many_as_an_optimizer_has() -> None:
    def keys(count: int, start: int = 0) -> bytes:
        return b"}(" + b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(start, count)) + b"u"

    check_pickle(complete_pickle(keys(20_000)))
    for steps in (keys(20_001), b"(" + keys(15_000) + keys(15_000) + b"t"):
        with pytest.raises(ValueError, match="more numbers as keys"):
            check_pickle(complete_pickle(steps))
    one_by_one = b"}" + b"".join(b"J" + struct.pack("<i", number) + b"Ns" for number in range(20_001))
    with pytest.raises(ValueError, match="more numbers as keys"):
        check_pickle(complete_pickle(one_by_one))


NINE, HUGE = b"(" + b"K\x01" * 9 + b"t", b"K\x00\x8a\x08" + struct.pack("<q", 2**41) + b"\x86"


@pytest.mark.parametrize(("size", "stride"), [(NINE, NINE), (HUGE, b"K\x01K\x01\x86")], ids=["nine", "huge"])
def test_shapes_that_nothing_can_compute_with(size: bytes, stride: bytes, write: Callable[[bytes], Path]) -> None:
    with pytest.raises(CheckpointError, match="no plain tensor"):
        read_checkpoint(write(checkpoint(model=dict_of(text("a"), tensor(size=size, stride=stride)))))


def test_one_storage_is_not_named_more_often_than_a_model_shares_it(tmp_path: Path) -> None:
    shared = torch.ones(300_000)
    for times in (3, 5):
        model = {f"a{number}": shared for number in range(times)}
        torch.save({"model": model, "config": {}, "epoch": 0}, tmp_path / f"{times}.pth")
    assert len(read_checkpoint(tmp_path / "3.pth").model) == 3
    with pytest.raises(CheckpointError, match="share their values so often"):
        read_checkpoint(tmp_path / "5.pth")


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"ab\xff.pth")
    with path.open("wb") as file:
        torch.save({"model": {"a": torch.ones(2)}, "config": {}, "epoch": 4}, file)
    assert read_checkpoint(path).epoch == 4


def test_keys_of_a_config_that_are_no_texts_are_told(tmp_path: Path) -> None:
    for key in (1, True):
        torch.save({"model": {}, "config": {"x": {key: 2}}, "epoch": 4}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match="keys that are no texts"):
            read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["get", "values", "keys"])
@pytest.mark.parametrize("part", ["", "config", "model"])
def test_methods_of_dicts_are_not_replaced(name: str, part: str, tmp_path: Path) -> None:
    content: Any = OrderedDict(model=OrderedDict(a=torch.ones(2)), config=OrderedDict(a=[1]), epoch=0)
    setattr(content[part] if part else content, name, OrderedDict() if part else "x")
    torch.save(content, tmp_path / "shadowed.pth")
    with pytest.raises(CheckpointError, match="something other than the items"):
        read_checkpoint(tmp_path / "shadowed.pth")


# -- the length of a config


def test_long_texts_named_many_times_are_not_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * (MAX_CONFIG // 2 - 20)
    assert is_json({"a": [long] * 2}) and is_json({"a": {long: 1}, "b": {long: 1}})

    def never(_: Any) -> str:
        raise AssertionError("written out before its length was known")

    monkeypatch.setattr(json, "dumps", never)
    assert not is_json({"a": [long] * 3})
    assert not is_json({"a": [{long: 1}] * 3})
    assert not is_json([{long: long}, long])


def test_the_depth_of_a_config() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    assert is_json(value) and not is_json([value])
