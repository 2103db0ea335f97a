"""Reads pickles of plain data without running anything that they name.

A pickle is a program. This module runs the instructions that build dicts, lists, tuples, texts, bytes and numbers
itself, and knows the few names by which numpy writes its arrays, scalars and dtypes; it never imports or calls what a
pickle asks for. Every other name and instruction is refused. What may be built is bounded: by the number of
instructions, by bytes, by nesting, and by the values that a reader would meet (a pickle may refer to one list a
thousand times, from a list that is itself referred to a thousand times; see [pickled_values][]).
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from affectgpt.files.pickled_arrays import build_array, element_count, reshape
from affectgpt.files.pickled_values import MAX_STEPS, RefusedPickle, check_values
from affectgpt.registry.messages import short_repr

__all__ = ["RefusedPickle", "read_pickle"]

_NUMPY = ("numpy.core.", "numpy._core.")
_GLOBALS = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("builtins", "bytes"): "bytes",
    ("__builtin__", "bytes"): "bytes",
    **{(f"{home}multiarray", "_reconstruct"): "reconstruct" for home in _NUMPY},
    **{(f"{home}multiarray", "scalar"): "scalar" for home in _NUMPY},
    **{(f"{home}numeric", "_frombuffer"): "frombuffer" for home in _NUMPY},
}
_DTYPE = re.compile(r"[<>=|]?(\?|O8?|[biufc]\d{1,2}|[SU]\d{1,6})")
_KEYS = (str, bytes, bool, int, type(None))


def read_pickle(data: bytes, *, max_bytes: int) -> Any:
    """The value that `data` (protocols 2 to 5) describes. Arrays may share memory with `data` and be read-only.

    `max_bytes` bounds what is copied while building it, and the texts, bytes and arrays in it, each as often as it is
    referred to. Raises RefusedPickle for anything but dicts (keys: texts, bytes, whole numbers, bools, None), lists,
    tuples, texts, bytes, numbers (whole ones of 64 bits), bools, None, and numpy arrays, scalars and dtypes of
    numbers, texts and objects of these kinds.
    """
    machine = _Machine(max_bytes)
    try:
        value = machine.run(data)
    except RefusedPickle:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
        raise RefusedPickle(f"a damaged pickle ({type(error).__name__}: {error})") from None
    check_values(value, max_bytes)
    return value


@dataclass(eq=False)
class _Global:
    # A name that the pickle asks for, by what it stands for; nothing is imported.
    meaning: str


@dataclass(eq=False)
class _Unfinished:
    # An array or dtype between its REDUCE and its BUILD. `memo` holds the slots that refer to it.
    what: str
    text: str = ""
    memo: list[int] = field(default_factory=list)


_MARK = object()


class _Machine:
    def __init__(self, max_bytes: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.remaining = max_bytes

    def run(self, data: bytes) -> Any:
        for step, (code, argument, _) in enumerate(pickletools.genops(BytesIO(data))):
            if step >= MAX_STEPS:
                raise RefusedPickle(f"more than {MAX_STEPS:,} instructions")
            name = code.name
            if name == "STOP":
                (value,) = self.stack
                return value
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise RefusedPickle(f"the instruction {name}, which plain data does not need")
        raise RefusedPickle("no end")

    def push_integer(self, number: int) -> None:
        # Larger ones overflow a float, and past some thousand digits cannot even be written.
        if not -(2**63) <= number < 2**64:
            raise RefusedPickle(f"a whole number of {number.bit_length():,} bits, more than 64")
        self.stack.append(number)

    def spend(self, count: int) -> None:
        self.remaining -= count
        if self.remaining < 0:
            raise RefusedPickle("values that unfold to more bytes than allowed")

    def to_mark(self) -> list[Any]:
        index = len(self.stack) - 1
        while self.stack[index] is not _MARK:
            index -= 1
            if index < 0:
                raise RefusedPickle("a damaged pickle (no mark)")
        items = self.stack[index + 1 :]
        del self.stack[index:]
        return items

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise RefusedPickle("a damaged pickle (too few values)")
        items = self.stack[len(self.stack) - count :]
        if any(item is _MARK for item in items):
            raise RefusedPickle("a damaged pickle (a mark in the place of a value)")
        del self.stack[len(self.stack) - count :]
        return items

    def put(self, slot: int) -> None:
        (value,) = self.last(1)
        self.stack.append(value)
        self.memo[slot] = value
        if isinstance(value, _Unfinished):
            value.memo.append(slot)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise RefusedPickle("a damaged pickle (items of what is no dict)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Tuples would be hashed by unfolding them.
            if not isinstance(key, _KEYS):
                raise RefusedPickle(f"a dict key of type {type(key).__name__}")
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise RefusedPickle("a damaged pickle (items of what is no list)")
        target.extend(items)

    def find(self, module: Any, name: Any) -> None:
        meaning = _GLOBALS.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if meaning is None:
            raise RefusedPickle(f"the name {_name(module)}.{_name(name)}, which is no plain data")
        self.stack.append(_Global(meaning))

    def reduce(self) -> None:
        called, arguments = self.last(2)
        if not isinstance(called, _Global) or type(arguments) is not tuple:
            raise RefusedPickle("a call of something that is no known name")
        self.stack.append(getattr(self, f"make_{called.meaning}")(*arguments))

    def build(self) -> None:
        unfinished, state = self.last(2)
        if not isinstance(unfinished, _Unfinished) or type(state) is not tuple:
            raise RefusedPickle("a state for something that is no array")
        value = self.array(*state) if unfinished.what == "array" else self.dtype(unfinished.text, *state)
        for slot in unfinished.memo:
            self.memo[slot] = value
        # Not again when another reference to it is built: that could be done without end.
        unfinished.memo.clear()
        self.stack.append(value)

    # What the known names stand for.

    def make_ndarray(self, *_: Any) -> Any:
        raise RefusedPickle("a call of numpy.ndarray")

    def make_bytes(self) -> bytes:
        return b""

    def make_encode(self, text: str, encoding: str) -> bytes:
        if type(text) is not str or encoding != "latin1":
            raise RefusedPickle(f"a text in the encoding {short_repr(encoding)}")
        self.spend(len(text))
        return text.encode("latin1")

    def make_dtype(self, text: str, align: Any, copy: Any) -> _Unfinished:
        if type(text) is not str or not _DTYPE.fullmatch(text):
            raise RefusedPickle(f"an array of type {short_repr(text)}")
        return _Unfinished("dtype", text)

    def dtype(self, text: str, version: Any, order: Any, *parts: Any) -> np.dtype[Any]:
        # parts: subarray, names, fields, size, alignment, flags, and metadata for some types.
        if order not in ("<", ">", "=", "|") or len(parts) != 6 or any(part is not None for part in parts[:3]):
            raise RefusedPickle(f"an array of the structured type {text}")
        dtype: np.dtype[Any] = np.dtype(text).newbyteorder(order)
        return dtype

    def make_reconstruct(self, kind: Any, shape: Any, code: Any) -> _Unfinished:
        if not isinstance(kind, _Global) or kind.meaning != "ndarray":
            raise RefusedPickle("an array of a class other than numpy.ndarray")
        return _Unfinished("array")

    def array(self, version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> np.ndarray:
        order = "F" if fortran is True else "C"
        if not isinstance(dtype, np.dtype) or dtype.kind != "O":
            return self.make_frombuffer(data, dtype, shape, order)
        if type(data) is not list or len(data) != element_count(shape):
            raise RefusedPickle("an array whose size is not that of its data")
        self.spend(8 * len(data))
        items = np.empty(len(data), object)
        for index, item in enumerate(data):
            items[index] = item
        return reshape(items, shape, order)

    def make_frombuffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        if not isinstance(dtype, np.dtype) or dtype.kind == "O" or not isinstance(data, bytes | bytearray):
            raise RefusedPickle("an array without a type or without data")
        return build_array(data, dtype, shape, order)

    def make_scalar(self, dtype: Any, data: Any = None) -> Any:
        if not isinstance(dtype, np.dtype) or dtype.kind == "O" or not isinstance(data, bytes):
            raise RefusedPickle("a scalar without a type or without data")
        if len(data) != dtype.itemsize:
            raise RefusedPickle("a scalar whose size is not that of its type")
        self.spend(len(data))
        return np.frombuffer(data, dtype)[0] if data else dtype.type()


def _name(part: Any) -> str:
    return part[:80] if isinstance(part, str) else short_repr(part)


_PUSHED = {
    *("BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}

_Step = Callable[[_Machine, Any], Any]
_STEPS: dict[str, _Step] = {
    "PROTO": lambda vm, _: None,
    "FRAME": lambda vm, _: None,
    "MARK": lambda vm, _: vm.stack.append(_MARK),
    "POP": lambda vm, _: vm.stack.pop(),
    "POP_MARK": lambda vm, _: vm.to_mark(),
    "LONG1": lambda vm, number: vm.push_integer(number),
    "LONG4": lambda vm, number: vm.push_integer(number),
    "NONE": lambda vm, _: vm.stack.append(None),
    "NEWTRUE": lambda vm, _: vm.stack.append(True),
    "NEWFALSE": lambda vm, _: vm.stack.append(False),
    "EMPTY_LIST": lambda vm, _: vm.stack.append([]),
    "EMPTY_DICT": lambda vm, _: vm.stack.append({}),
    "EMPTY_TUPLE": lambda vm, _: vm.stack.append(()),
    "LIST": lambda vm, _: vm.stack.append(vm.to_mark()),
    "TUPLE": lambda vm, _: vm.stack.append(tuple(vm.to_mark())),
    "TUPLE1": lambda vm, _: vm.stack.append(tuple(vm.last(1))),
    "TUPLE2": lambda vm, _: vm.stack.append(tuple(vm.last(2))),
    "TUPLE3": lambda vm, _: vm.stack.append(tuple(vm.last(3))),
    "APPEND": lambda vm, _: vm.extend(vm.last(1)),
    "APPENDS": lambda vm, _: vm.extend(vm.to_mark()),
    "SETITEM": lambda vm, _: vm.set_items(vm.last(2)),
    "SETITEMS": lambda vm, _: vm.set_items(vm.to_mark()),
    "BINGET": lambda vm, slot: vm.stack.append(vm.memo[slot]),
    "LONG_BINGET": lambda vm, slot: vm.stack.append(vm.memo[slot]),
    "BINPUT": lambda vm, slot: vm.put(slot),
    "LONG_BINPUT": lambda vm, slot: vm.put(slot),
    "MEMOIZE": lambda vm, _: vm.put(len(vm.memo)),
    "GLOBAL": lambda vm, text: vm.find(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda vm, _: vm.find(*vm.last(2)),
    "REDUCE": lambda vm, _: vm.reduce(),
    "BUILD": lambda vm, _: vm.build(),
}
