"""Plain data comes back as it went in; whatever a pickle would run or unfold is refused."""

from __future__ import annotations

import collections
import contextlib
import datetime
import os
import pickle
import pickletools
import struct
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.files.restricted_pickle import RefusedPickle, read_pickle

PROTOCOLS = (2, 3, 4, 5)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def read(data: bytes, max_bytes: int = 2**20) -> Any:
    return read_pickle(data, max_bytes=max_bytes)


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedPickle) as caught:
        read(data)
    return str(caught.value)


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_comes_back(value: Any, protocol: int) -> None:
    value_read = read(pickle.dumps(value, protocol))
    assert value_read == value and repr(value_read) == repr(value)


ARRAYS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "texts": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "bools": np.array([True, False]),
    "complex": np.array([1j, 2]),
    "objects": np.array([[1, "x"], [None, 2.5]], dtype=object),
    "none": np.zeros((0, 3), np.uint8),
    "one": np.array(5),
    "a number": np.float32(1.5),
    "an index": np.int64(-3),
    "a bool": np.bool_(True),
    "a text": np.str_("words"),
    "no text": np.str_(""),
    "a type": np.dtype(">f8"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
def test_arrays_of_both_numpys_come_back(protocol: int, core: str) -> None:
    data = renamed(pickle.dumps(ARRAYS, protocol), core)
    value_read = read(data)
    assert value_read.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert type(value_read[name]) is type(value), name
        assert np.array_equal(value_read[name], value) and getattr(value_read[name], "dtype", None) == getattr(
            value, "dtype", None
        ), name


def renamed(data: bytes, core: str) -> bytes:
    """`data` as numpy 1 (`numpy.core`) or 2 (`numpy._core`) writes it, by its instructions."""
    parts, last = [], None
    positions = [position for _, _, position in pickletools.genops(data)] + [len(data)]
    for (code, argument, start), end in zip(pickletools.genops(data), positions[1:], strict=True):
        part = data[start:end]
        if code.name == "FRAME":
            continue
        if isinstance(argument, str) and argument.startswith(("numpy._core", "numpy.core")):
            text = core + argument.removeprefix("numpy._core").removeprefix("numpy.core")
            if code.name == "GLOBAL":
                part = b"c" + text.replace(" ", "\n").encode() + b"\n"
            else:
                part = b"\x8c" + bytes([len(text)]) + text.encode()
        parts.append(part)
        last = code
    assert last is not None and last.name == "STOP"
    return b"".join(parts)


class Runs:
    """Leaves a file where the pickle is run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_code_is_named_and_not_run(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "witness"
    for value in (Runs(witness), {"a": [1, (Runs(witness),)]}, np.array([Runs(witness)], dtype=object)):
        assert f"{os.system.__module__}.system" in refusal(pickle.dumps(value, protocol))
    assert not witness.exists()
    pickle.loads(pickle.dumps(Runs(witness), protocol))
    assert witness.exists(), "the pickle would have run"


FOREIGN = {
    "subprocess.Popen": (subprocess.Popen, (["true"],)),
    "builtins.eval": (eval, ("1",)),
    "builtins.getattr": (getattr, ({}, "keys")),
    "collections.OrderedDict": (collections.OrderedDict, ()),
    "datetime.date": (datetime.date, (2000, 1, 1)),
    "builtins.bytearray": (bytearray, (10**6,)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_names_are_refused_by_name(name: str) -> None:
    class Foreign:
        def __reduce__(self) -> tuple[Any, ...]:
            return FOREIGN[name]

    text = refusal(pickle.dumps([Foreign()], 4))
    assert name in text or name.replace("builtins", "__builtin__") in text


def program(*parts: bytes | str) -> bytes:
    """A pickle from instructions (bytes) and names (`module name`)."""
    named = (f"c{part}\n".replace(" ", "\n").encode() if isinstance(part, str) else part for part in parts)
    return b"\x80\x04" + b"".join(named) + b"."


RECONSTRUCT, SCALAR, NDARRAY, DTYPE = (
    "numpy._core.multiarray _reconstruct",
    "numpy._core.multiarray scalar",
    "numpy ndarray",
    "numpy dtype",
)
SHAPE0, CODE = b"K\x00\x85", b"C\x01b"
F8 = (DTYPE, b"\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
EMPTY = (RECONSTRUCT, NDARRAY, SHAPE0, CODE, b"\x87R")

HOSTILE = {
    "an array of a class of ours": program(RECONSTRUCT, "os system", SHAPE0, CODE, b"\x87R"),
    "an array of what is a dtype": program(
        RECONSTRUCT, DTYPE, SHAPE0, CODE, b"\x87R(K\x01K\x01\x85", *F8, b"\x89C\x08aaaaaaaatb"
    ),
    "a called array class": program(NDARRAY, b"J\xff\xff\xff\x7f\x85R"),
    "a called text": program(b"\x8c\x01a)R"),
    "a shape that lies": program(*EMPTY, b"(K\x01J\xff\xff\xff\x7f\x85", *F8, b"\x89C\x08aaaaaaaatb"),
    "a negative shape": program(*EMPTY, b"(K\x01J\xff\xff\xff\xff\x85", *F8, b"\x89C\x08aaaaaaaatb"),
    "a huge type": program(DTYPE, b"\x8c\x0aS999999999\x89\x88\x87R(K\x03\x8c\x01|NNNJ\x00\x00\x00\x00K\x01K\x00tb"),
    "a structured type": program(DTYPE, b"\x8c\x02V8\x89\x88\x87R"),
    "a type with fields": program(DTYPE, b"\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<N\x8c\x01a\x85NK\x08K\x08K\x00tb"),
    "an array in the place of a type": program(*EMPTY, b"(K\x01K\x01\x85NNtb"),
    "a scalar of objects": program(
        SCALAR, DTYPE, b"\x8c\x02O8\x89\x88\x87R(K\x03\x8c\x01|NNNK\x08K\x08K\x3ftbC\x08aaaaaaaa\x86R"
    ),
    "an unfinished array": program(*EMPTY),
    "an unfinished array inside": program(b"]", *EMPTY, b"a"),
    "a name as a value": program(NDARRAY),
    "a mark as a value": program(b"]((la"),
    "a mark in a tuple, which would end the walk": program(b"(", NDARRAY, b"\x86"),
    "a mark alone in a tuple": program(b"(\x85"),
    "a mark in a tuple of three": program(b"(", NDARRAY, b"K\x01\x87"),
    "a mark in a list": program(b"](a"),
    "a mark in a dict": program(b"}K\x01(s"),
    "a mark for a dict key": program(b"}(K\x01s"),
    "a mark kept and taken out": program(b"(\x940h\x00"),
    "a mark kept and taken out into a list": program(b"](q\x001h\x00K\x01e"),
    "a mark as the whole value": program(b"("),
    "a mark behind which a list is inside itself": program(b"]q\x00(h\x00\x86a"),
    "a mark as a state": program(*EMPTY, b"(b"),
    "a mark for a name": program(b"\x8c\x05numpy(\x93"),
    "a mark taken twice": program(b"(11K\x01"),
    "a whole number of 65 bits": program(b"\x8a\x09" + b"\0" * 8 + b"\1"),
    "a negative whole number of 65 bits": program(b"\x8a\x09" + b"\xff" * 8 + b"\xfe"),
    "a whole number of 40,000 bits": program(b"\x8b" + struct.pack("<i", 5000) + b"\x7f" * 5000),
    "a text that cannot be a name": program(b"]\x8c\x01a\x93"),
    "attributes of a name": program(NDARRAY, b"}b"),
    "attributes of a dict": program(b"}}b"),
    "an object of a class": program(NDARRAY, b")\x81"),
    "a persistent object": b"\x80\x04Pid\n.",
    "an extension": program(b"\x82\x01"),
    "a dict key that is a tuple": program(b"}))K\x01s"),
    "a dict key that is a float": program(b"}G\x00\x00\x00\x00\x00\x00\x00\x00K\x01s"),
    "a key without a value": program(b"}(K\x01u"),
    "items of a text": program(b"\x8c\x01aK\x01a"),
    "a list inside itself": program(b"]q\x00h\x00a"),
    "a dict inside itself": program(b"}q\x00K\x01h\x00s"),
    "nothing to take": program(b"a"),
    "nothing in the memo": program(b"h\x07"),
    "no mark": program(b"t"),
    "two values": program(b"K\x01K\x02"),
    "no end": b"\x80\x04K\x01",
    "nothing": b"",
    "a text that is cut": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc",
    "bytes that are cut": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc",
    "no instruction": b"\x80\x04\xff.",
    "a text that is no text": program(b"\x8c\x02\xff\xff"),
    "python 2": b"\x80\x02U\x03abc.",
    "a set": pickle.dumps({1, 2}, 4),
    "a buffer outside": program(b"\x97"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_damaged_pickles_are_refused(case: str) -> None:
    assert refusal(HOSTILE[case])


def test_marks_that_are_taken_away_do_no_harm() -> None:
    assert read(program(b"(0K\x01")) == 1
    assert read(program(b"((K\x021(K\x03tK\x04t")) == ((3,), 4)
    assert read(program(b"K\x01(K\x02K\x031")) == 1


@given(st.integers(-(2**64), 2**65))
def test_whole_numbers_are_of_64_bits(number: int) -> None:
    data = pickle.dumps([number], 2)
    if -(2**63) <= number < 2**64:
        assert read(data) == [number]
    else:
        assert "64" in refusal(data)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    with contextlib.suppress(RefusedPickle):
        read(b"\x80\x04" + noise + b".")


@given(st.data())
def test_a_changed_byte_gives_a_value_or_a_refusal(data: Any) -> None:
    data_bytes = bytearray(pickle.dumps(ARRAYS, 4))
    position = data.draw(st.integers(0, len(data_bytes) - 1))
    data_bytes[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RefusedPickle):
        read(bytes(data_bytes))


def doubled(levels: int, start: bytes = b"]", join: bytes = b"\x86") -> bytes:
    """A value that holds itself twice, `levels` times over."""
    steps = b"".join(b"q%ch%c" % (level, level) + join for level in range(levels))
    return program(start + steps)


UNFOLDS = doubled(28, b")")[2:-1]
BOMBS = {
    "tuples": doubled(60),
    "tuples as keys": program(b"}" + doubled(60)[2:-1] + b"K\x01s"),
    "objects": program(
        b"](" + b"K\x01" * 1000 + b"eq\x000", b"](" + b"h\x00" * 1000 + b"eq\x010", b"](" + b"h\x01" * 1000 + b"e"
    ),
    "depth": program(b"]" * 100_000 + b"a" * 99_999),
    "one text over and over": program(
        b"X", struct.pack("<I", 500_000), b"a" * 500_000, b"q\x000](", b"h\x00" * 1000, b"e"
    ),
    "one text as a key over and over": program(
        b"X", struct.pack("<I", 500_000), b"a" * 500_000, b"q\x000](", b"}h\x00Ns" * 1000, b"e"
    ),
    "bytes over and over": program(
        b"B", struct.pack("<I", 500_000), b"a" * 500_000, b"q\x000](", b"h\x00" * 1000, b"e"
    ),
    "one array over and over": program(
        *EMPTY,
        b"(K\x01J",
        struct.pack("<i", 62_500),
        b"\x85",
        *F8,
        b"\x89B",
        struct.pack("<I", 500_000),
        b"a" * 500_000,
        b"tbq\x000](",
        b"h\x00" * 1000,
        b"e",
    ),
    "a shape that unfolds": program(*EMPTY, b"(K\x01", UNFOLDS, *F8, b"\x89C\x00tb"),
    "a type that unfolds": program(DTYPE, UNFOLDS, b"\x89\x88\x87R"),
    "an encoding that unfolds": program("_codecs encode", b"\x8c\x01a", UNFOLDS, b"\x86R"),
    "a module that unfolds": program(UNFOLDS, b"\x8c\x01a\x93"),
    "sides of many digits": program(
        *EMPTY,
        b"(K\x01(",
        b"\x8b",
        struct.pack("<i", 250_000),
        b"\x7f" * 250_000,
        b"q\x00",
        b"h\x00" * 31,
        b"t",
        *F8,
        b"\x89C\x00tb",
    ),
    "sides as long as can be": program(
        *EMPTY, b"(K\x01(", b"\x8a\x08", b"\xff" * 7 + b"\x7f", b"q\x00", b"h\x00" * 31, b"t", *F8, b"\x89C\x00tb"
    ),
    "a long text encoded over and over": program(
        b"\x8c\x06latin1q\x01X",
        struct.pack("<I", 500_000),
        b"a" * 500_000,
        b"q\x00](",
        *(part for _ in range(100) for part in ("_codecs encode", b"h\x00h\x01\x86R")),
        b"e",
    ),
    "a long scalar over and over": program(
        DTYPE,
        b"\x8c\x07S500000\x89\x88\x87R(K\x03\x8c\x01|NNNJ\x20\xa1\x07\x00K\x01K\x00tbq\x01B",
        struct.pack("<I", 500_000),
        b"a" * 500_000,
        b"q\x00](",
        *(part for _ in range(100) for part in (SCALAR, b"h\x01h\x00\x86R")),
        b"e",
    ),
}


REASONS = ("unfold", "nested", "key", "array of shape", "array of type", "encoding", "the name", "64")


# These two take ten seconds to be refused.
LONG_BOMBS = ("objects", "tuples")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in LONG_BOMBS else case for case in BOMBS]
)
def test_bombs_are_refused(case: str, stopped_after: Callable[[int], AbstractContextManager[None]]) -> None:
    with stopped_after(120):
        text = refusal(BOMBS[case])
    assert any(word in text for word in REASONS) and len(text) < 500


def test_too_many_instructions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectgpt.files.restricted_pickle.MAX_STEPS", 1000)
    assert read(pickle.dumps(list(range(400)))) == list(range(400))
    assert "1,000 instructions" in refusal(pickle.dumps(list(range(1000))))


def test_values_that_are_shared_stay_shared() -> None:
    word = ["x"]
    value_read = read(pickle.dumps([word, word, {"a": word}]))
    assert value_read[0] is value_read[1] is value_read[2]["a"]
