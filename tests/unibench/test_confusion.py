from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.unibench.confusion import ConfusionCounter
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.wheels.wheel_set import Wheel, WheelSet

WHEELS = WheelSet("t", (Wheel("w", {}, lambda word, level: word if word in "abcd" else None),), "", False, "")
sets = st.lists(st.sampled_from("abcdxy"), max_size=5)


def count(*clips: tuple[list[str], list[str]], chunk: int = 99) -> dict[str, dict[str, float]]:
    table = SectorTable(WHEELS)
    counter = ConfusionCounter(table)
    for start in range(0, len(clips), chunk):
        part = clips[start : start + chunk]
        counter.add(table.read([true for true, _ in part]), table.read([said for _, said in part]))
    return counter.result()[0].counts


def test_a_hit_stays_and_a_miss_goes_to_what_was_said_instead() -> None:
    assert count((["a"], ["a"])) == {"a": {"a": 1.0}}
    assert count((["a"], ["b"])) == {"a": {"b": 1.0}}
    assert count((["a"], [])) == {"a": {"": 1.0}} == count((["a"], ["x"]))
    assert count((["a", "b"], ["a", "c", "d"])) == {"a": {"a": 0.5}, "b": {"c": 0.25, "d": 0.25}}
    assert count((["a", "b"], ["a"])) == {"a": {"a": 0.5}, "b": {"": 0.5}}
    assert count((["x"], ["a"]), ([], ["b"])) == {}


@given(st.lists(st.tuples(sets, sets), max_size=8), st.integers(1, 4))
def test_each_clip_counts_1_in_whatever_chunks(clips: list[tuple[list[str], list[str]]], chunk: int) -> None:
    counts = count(*clips, chunk=chunk)
    counted = sum(any(label in "abcd" for label in true) for true, _ in clips)
    assert sum(sum(row.values()) for row in counts.values()) == pytest.approx(counted, abs=1e-4)
    assert counts == count(*clips)
