"""What a pickle may hold: plain values, few enough when all that is shared is unfolded, none inside itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_STEPS = 5_000_000
"""Instructions in one pickle, and values that it may unfold to."""
MAX_DEPTH = 64

_PLAIN = (str, bytes, bool, int, float, type(None), np.number, np.bool_)
_END = object()


class RefusedPickle(ValueError):
    """The pickle is damaged, or holds more than plain data; the text says what."""


def check_values(value: Any, max_bytes: int) -> None:
    """Raise RefusedPickle unless `value` unfolds to at most `max_bytes` and few enough values, all of them plain.

    What is shared counts as often as it is referred to, since a reader meets it that often. None may be inside itself.
    """
    count = size = 0
    open_ = [iter((value,))]
    while open_:
        item = next(open_[-1], _END)
        if item is _END:
            open_.pop()
            continue
        count += 1
        size += _bytes(item)
        if count > MAX_STEPS or size > max_bytes:
            raise RefusedPickle(f"values that unfold to more than {MAX_STEPS:,}, or {max_bytes:,} bytes")
        inner = _inside(item)
        if inner is not None:
            if len(open_) > MAX_DEPTH:
                raise RefusedPickle(f"values nested more than {MAX_DEPTH} deep, or inside themselves")
            open_.append(iter(inner))


def _bytes(item: Any) -> int:
    if isinstance(item, str | bytes):
        return len(item)
    if isinstance(item, np.ndarray):
        return item.nbytes
    return sum(len(key) for key in item if isinstance(key, str | bytes)) if type(item) is dict else 0


def _inside(item: Any) -> Iterable[Any] | None:
    if type(item) is dict:
        return item.values()
    if type(item) in (list, tuple):
        return item  # type: ignore[no-any-return]
    if isinstance(item, np.ndarray):
        return item.ravel() if item.dtype.kind == "O" else None
    if isinstance(item, _PLAIN) or (isinstance(item, np.dtype) and item.kind != "V"):
        return None
    raise RefusedPickle("a name, a mark or an unfinished array in the place of a value")
