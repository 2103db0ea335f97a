"""How values of files that are not trusted are told in messages: short, whatever their size and depth. No numpy."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any


class _Short(reprlib.Repr):
    # Chosen by the name of a value's type. What is not named here or by reprlib is written out whole, then cut.
    repr_bytes = repr_bytearray = repr_str_ = repr_bytes_ = reprlib.Repr.repr_str

    def repr_ndarray(self, value: Any, level: int) -> str:
        return f"an array of shape {list(value.shape)}"


_SHORT = _Short()
_SHORT.maxlevel = 3
_LONGEST = 200


def shown(value: Any) -> str:
    """`value` as Python writes it, cut to some 30 characters a text, 6 items a list, 3 levels and 200 characters."""
    return _SHORT.repr(value)[:_LONGEST]


def first_of(items: Sequence[str], between: str = ", ") -> str:
    """How many `items` there are, and the first five."""
    return f"{len(items)}: {between.join(items[:5])}{', ...' if len(items) > 5 else ''}"
