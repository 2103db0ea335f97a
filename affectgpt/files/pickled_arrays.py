"""Arrays whose shape and type are stated beside their data, by a file that is not trusted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from affectgpt.files.pickled_values import RefusedPickle
from affectgpt.registry.messages import short_repr

LONGEST_SIDE = 2**48
"""Of an array, exclusive."""
MOST_SIDES = 32


def build_array(data: bytes | bytearray, dtype: np.dtype[Any], shape: Any, order: Any) -> np.ndarray:
    """A view of `data` as an array. Raises RefusedPickle unless `data` has exactly the size that is stated."""
    count = element_count(shape)
    if dtype.itemsize * count != len(data) or (dtype.itemsize == 0 and count):
        raise RefusedPickle("an array whose size is not that of its data")
    if not data:
        return np.zeros(shape, dtype)
    return reshape(np.frombuffer(data, dtype), shape, order)


def reshape(flat: np.ndarray, shape: Any, order: Any) -> np.ndarray:
    """`flat` in this shape, the first index changing fastest where `order` is "F"."""
    return np.reshape(flat, shape, order="F" if order == "F" else "C")


def element_count(shape: Any) -> int:
    """How many items `shape` holds. Raises RefusedPickle for what is no shape."""
    # Sides so short and so few have a product that is quick to reckon, whatever it comes to.
    if type(shape) is not tuple or len(shape) > MOST_SIDES or not all(_is_side(side) for side in shape):
        raise RefusedPickle(f"an array of shape {short_repr(shape)}")
    return math.prod(shape)


def _is_side(side: Any) -> bool:
    return type(side) is int and 0 <= side < LONGEST_SIDE
