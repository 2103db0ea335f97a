"""Values of any size and depth are told in a few words, and quickly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest

from affectgpt.registry.messages import count_and_first, first_and_more, flatten, short_repr

NESTED: Any = ()
for _ in range(40):
    NESTED = (NESTED, NESTED)


@pytest.mark.parametrize(
    "value",
    [
        NESTED,
        [NESTED] * 50,
        "x" * 10**8,
        b"\0" * 10**8,
        bytearray(10**8),
        np.str_("x" * 10**6),
        np.zeros(10**7),
        np.array([["x" * 10**6]], dtype=object),
        {str(number): "x" * 100 for number in range(100)},
    ],
)
def test_of_any_size(value: Any, stopped_after: Callable[[int], AbstractContextManager[None]]) -> None:
    with stopped_after(60):
        assert 0 < len(short_repr(value)) <= 200


def test_small_values_are_told_whole() -> None:
    for value in (None, 3, -1.5, "joy", b"joy", ["a", 1], {"emo": "sad"}, float("nan"), True):
        assert short_repr(value) == repr(value)
    assert short_repr(np.zeros((2, 3))) == "an array of shape [2, 3]"


def test_names_beyond_the_first_are_counted() -> None:
    assert first_and_more(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_and_more(["a", "b"], 2) == "a, b" and first_and_more([]) == ""


def test_the_first_of_many() -> None:
    assert count_and_first(["a"]) == "1: a"
    assert count_and_first(list("abcde")) == "5: a, b, c, d, e"
    assert count_and_first(list("abcdef"), "; ") == "6: a; b; c; d; e, ..."


def test_settings_are_named_by_their_paths() -> None:
    settings = {"seed": 1, "encoders": {"face": {"dim": 8, "options": {}}, "audio": {"rates": [1, 2]}}}
    assert flatten(settings) == {
        "seed": 1,
        "encoders.face.dim": 8,
        "encoders.face.options": {},
        "encoders.audio.rates": [1, 2],
    }
