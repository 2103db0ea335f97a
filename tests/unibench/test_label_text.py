from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.registry.errors import DataError
from affectgpt.unibench.label_text import parse_labels


def test_every_fixture_is_read_as_the_official_scripts_read_it(oracle: Callable[[str], Any]) -> None:
    cases = oracle("string_to_list")
    assert len(cases) > 20
    for written, expected in cases:
        if isinstance(expected, str) and expected.startswith("RAISES"):
            with pytest.raises(DataError):
                parse_labels(written)
        else:
            assert parse_labels(written) == expected, written


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("[happy, sad]", ["happy", "sad"]),
        ("'happy'", ["happy"]),
        ("don't", ["don", "t"]),
        (["don't"], ["don't"]),
        (" [happy", ["[happy"]),
        ("[[a],[b]]", ["[a]", "[b]"]),
        ("happy，sad", ["happy，sad"]),
        (",,", []),
        ("", []),
        (None, []),
        (float("nan"), []),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array("[a, b]"), ["a", "b"]),
        ("Happy\n", ["Happy"]),
        ([" a "], [" a "]),
    ],
)
def test_a_written_set(written: Any, labels: list[str]) -> None:
    assert parse_labels(written) == labels


@pytest.mark.parametrize("written", ["[", 3, 1.5, {"a"}, ("a",), [1], [None], True])
def test_what_is_no_set_is_refused(written: Any) -> None:
    with pytest.raises(DataError):
        parse_labels(written)


@given(st.lists(st.text("abcdefg -", min_size=1).map(str.strip).filter(bool)))
def test_a_list_written_out_is_read_back(labels: list[str]) -> None:
    assert parse_labels(f"[{', '.join(labels)}]") == labels
    assert parse_labels(str(labels)) == labels
