"""Check a pickle before torch loads it, by following its opcodes without building objects.

A short pickle can keep torch busy forever, with nested tuples that share their items and are hashed as keys or printed
in an error. It can also replace the methods of an ordered dict, or read one record many times under different names. A
checkpoint needs none of this: only the opcodes that `torch.save` writes for tensors, dicts, lists, texts and numbers
are allowed.
"""

from __future__ import annotations

import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from affectgpt.released.archive import is_storage_name

_CALLING = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_ORDERED, _TENSOR, _PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)
_STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
ALLOWED = {_ORDERED, _TENSOR, _PARAMETER, *(f"torch {kind}Storage" for kind in _STORAGES)}
"""What tensors, parameters and ordered dicts are made of: all that a checkpoint of a training run calls."""
_MAKING = {"EMPTY_LIST", "EMPTY_DICT", "REDUCE", "BINPERSID"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PLAIN = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_LARGEST_KEY = 2**60
"""Whole numbers below this have hashes of their own; larger ones can be made to have all the same."""
_MOST_NUMBER_KEYS = 20_000
"""Different hashes can still be made to meet in the table of a dict. An optimizer has one such key per parameter."""
_MOST_STEPS, _MOST_VALUES = 3_000_000, 300_000
"""Steps of a pickle, and lists, dicts, tensors and storages in it: those of 70,000 tensors."""


class CallingPickleError(ValueError):
    """The pickle calls something that is not in `ALLOWED`, or calls it in an unusual way; the message names it."""


@dataclass(eq=False, slots=True)
class _Placeholder:
    """Stands for a value other than a text, number or tuple: its kind, and the keys of a dict that has keys."""

    kind: str
    keys: set[str | int] | None = None


def check_pickle(pickle: bytes) -> None:
    """Raise unless torch can load `pickle` in a time proportional to its length, into dicts with unchanged methods.

    Raises CallingPickleError when it calls something that is not in `ALLOWED`, or with other arguments than those of
    `torch.save`; ValueError when it is damaged or has anything else that `torch.save` does not write.
    """
    try:
        _follow(pickle)
    except LookupError:
        raise ValueError("the table of tensors is damaged") from None


def _follow(pickle: bytes) -> None:
    # Texts, numbers and tuples are themselves here. Nothing below may look into a tuple further than one level, compare
    # two or hash one: this is what takes forever. Stacks and marks are as torch keeps them.
    stack: list[Any] = []
    marked: list[list[Any]] = []
    memo: list[Any] = []
    value_count = number_keys = 0
    for step, (code, value, _) in enumerate(pickletools.genops(BytesIO(pickle))):
        name, argument = code.name, cast(Any, value)
        value_count += name in _MAKING
        if step > _MOST_STEPS or value_count > _MOST_VALUES:
            raise ValueError("it holds more values than the tensors of any checkpoint")
        if name in ("BINPUT", "LONG_BINPUT"):
            if argument != len(memo):
                raise ValueError("values are remembered out of order")
            memo.append(stack[-1])
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "BINUNICODE" or name in _NUMBERS:
            stack.append(argument)
        elif name in _PLAIN:
            stack.append(_PLAIN[name])
        elif name == "MARK":
            marked.append(stack)
            stack = []
        elif name == "TUPLE":
            items, stack = stack, marked.pop()
            stack.append(tuple(items))
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in _TUPLES:
            stack.append(tuple(_pop_many(stack, _TUPLES[name])))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append(_Placeholder(name))
        elif name == "APPEND":
            stack.pop()
            _expect(stack[-1], "EMPTY_LIST")
        elif name == "APPENDS":
            stack = marked.pop()
            _expect(stack[-1], "EMPTY_LIST")
        elif name == "SETITEM":
            number_keys += _set(_pop_many(stack, 2)[:1], stack[-1])
        elif name == "SETITEMS":
            items, stack = stack, marked.pop()
            number_keys += _set(items[::2], stack[-1])
        elif name == "GLOBAL":
            if argument not in ALLOWED:
                raise CallingPickleError(str(argument).replace(" ", "."))
            stack.append(_Placeholder(f"GLOBAL {argument}"))
        elif name == "REDUCE":
            function, values = _pop_many(stack, 2)
            stack.append(_call(function, values))
        elif name == "BUILD":
            _check_state(stack.pop(), stack[-1])
        elif name == "BINPERSID":
            stack.append(_parse_storage(stack.pop()))
        elif name == "STOP":
            stack.pop()
        elif name in _CALLING:
            raise CallingPickleError(name)
        elif name != "PROTO":
            raise ValueError(f"torch.save writes no {name}")
        if number_keys > _MOST_NUMBER_KEYS:
            raise ValueError("it holds more numbers as keys than an optimizer of any checkpoint")


def _pop_many(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise IndexError
    items = stack[-count:]
    del stack[-count:]
    return items


def _is(value: Any, *kinds: str) -> bool:
    return isinstance(value, _Placeholder) and value.kind in kinds


def _expect(value: Any, *kinds: str) -> _Placeholder:
    if not isinstance(value, _Placeholder) or value.kind not in kinds:
        raise ValueError("something is put into what holds nothing")
    return value


def _set(keys: Sequence[Any], target: Any) -> int:
    """Add `keys` to the dict `target`. Returns how many of them are numbers."""
    numbers = 0
    target_dict = _expect(target, "EMPTY_DICT", _ORDERED)
    if len(keys) > _MOST_NUMBER_KEYS and sum(type(key) is not str for key in keys) > _MOST_NUMBER_KEYS:
        return len(keys)
    keys_of_dict = target_dict.keys = target_dict.keys or set()
    for key in keys:
        if type(key) is not str and not (type(key) in (int, bool) and abs(key) < _LARGEST_KEY):
            raise ValueError("a key of a dict is neither a text nor a number of usual size")
        numbers += type(key) is not str
        keys_of_dict.add(key)
    return numbers


def _call(function: Any, values: Any) -> _Placeholder:
    """The result of a call. Only known callees with usual arguments: torch would print or inspect any others."""
    if not _is(function, *(f"GLOBAL {each}" for each in (_ORDERED, _TENSOR, _PARAMETER))):
        raise CallingPickleError("a call of what is no function")
    name: str = function.kind.removeprefix("GLOBAL ")
    if type(values) is not tuple or not _usual(name, values):
        raise CallingPickleError(f"{name.replace(' ', '.')} with unusual values")
    return _Placeholder(name)


def _usual(name: str, values: tuple[Any, ...]) -> bool:
    if name == _ORDERED:
        return not values
    if name == _PARAMETER:
        return len(values) == 3 and _is(values[0], _TENSOR) and type(values[1]) is bool and _is(values[2], _ORDERED)
    return (
        len(values) == 6
        and _is(values[0], "BINPERSID")
        and type(values[1]) is int
        and all(type(sizes) is tuple and all(type(size) is int for size in sizes) for sizes in values[2:4])
        and type(values[4]) is bool
        and _is(values[5], _ORDERED)
    )


def _check_state(state: Any, target: Any) -> None:
    # The `_metadata` of a model's state dict is all that torch.save finds beside the items of an ordered dict. Another
    # name there could be that of a method.
    if not _is(target, _ORDERED) or not _is(state, "EMPTY_DICT") or state.keys != {"_metadata"}:
        raise ValueError("something other than the items of a dict is set")


def _parse_storage(storage: Any) -> _Placeholder:
    if type(storage) is not tuple or len(storage) != 5:
        raise ValueError("a storage is named as torch.save does not")
    word, kind, name, device, count = storage
    usual = (
        type(word) is str
        and word == "storage"
        and isinstance(kind, _Placeholder)
        and kind.kind.endswith("Storage")
        and type(name) is str
        and is_storage_name(name)
        and type(device) is str
        and type(count) is int
    )
    if not usual:
        raise ValueError("a storage is named as torch.save does not")
    return _Placeholder("BINPERSID")
