from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.media.sampling import frame_times, frames_at, merge_ranges

durations = st.fractions(min_value=0, max_value=4000, max_denominator=90000)
counts = st.integers(1, 64)
stamps = st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True).map(sorted)


def test_targets_are_the_middles_of_equal_parts() -> None:
    assert frame_times(4, 4) == [Fraction(1, 2), Fraction(3, 2), Fraction(5, 2), Fraction(7, 2)]
    assert frame_times(Fraction(1), 1) == [Fraction(1, 2)]


@pytest.mark.parametrize(("duration", "count"), [(1, 0), (1, -3), (-1, 2)])
def test_targets_refuse_what_has_no_meaning(duration: int, count: int) -> None:
    with pytest.raises(ValueError, match="must"):
        frame_times(duration, count)


@given(durations, counts)
def test_targets_lie_inside_and_are_evenly_spaced(duration: Fraction, count: int) -> None:
    times = frame_times(duration, count)
    assert len(times) == count
    assert all(0 <= target <= duration for target in times)
    assert {after - before for before, after in pairwise(times)} <= {duration / count}


@given(stamps, st.integers(0, 1000), counts)
def test_each_chosen_frame_is_the_last_that_is_not_later_than_its_target(pts: list[int], tail: int, count: int) -> None:
    times = [pts[0] + target for target in frame_times(pts[-1] - pts[0] + tail, count)]
    indices = frames_at(pts, times)
    assert all(before < after for before, after in pairwise(indices))
    assert indices == sorted({max(i for i, stamp in enumerate(pts) if stamp <= target) for target in times})


@given(st.integers(1, 100), st.integers(1, 1001), counts)
def test_at_a_constant_rate_no_frame_is_lost_or_repeated(frames: int, step: int, count: int) -> None:
    pts = [i * step for i in range(frames)]
    assert len(frames_at(pts, frame_times(frames * step, count))) == min(count, frames)


def test_a_frame_stamped_exactly_at_its_target_is_taken() -> None:
    # With 10 frames per second and 5 targets each target, 0.1, 0.3, ..., is a stamp; in floats one would be missed.
    tenths = [Fraction(i, 10) for i in range(10)]
    assert frames_at(tenths, frame_times(Fraction(1), 5)) == [1, 3, 5, 7, 9]


def test_nothing_is_chosen_from_nothing_and_the_first_before_the_first() -> None:
    assert frames_at([], [Fraction(1)]) == []
    assert frames_at([5, 6], [Fraction(1)]) == [0]


def test_runs_decode_through_short_gaps_and_seek_over_long_ones() -> None:
    assert merge_ranges([(0, 3), (6, 8)], seek_cost=2) == [(0, 8)]
    assert merge_ranges([(0, 3), (7, 8)], seek_cost=2) == [(0, 3), (7, 8)]
    assert merge_ranges([(2, 3)], seek_cost=2) == [(0, 3)]
    assert merge_ranges([(3, 4)], seek_cost=2) == [(3, 4)]
    assert merge_ranges([(9, 12), (9, 10)], seek_cost=2) == [(9, 12)]


ranges = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)).map(lambda r: (r[0], r[0] + r[1])), min_size=1)


@given(ranges, st.integers(0, 30))
def test_runs_cover_every_range_at_no_more_cost_than_either_extreme(
    needed: list[tuple[int, int]], seek_cost: int
) -> None:
    plan = merge_ranges(needed, seek_cost)

    def cost(candidate: list[tuple[int, int]]) -> int:
        return sum(last - first + 1 + (seek_cost if first else 0) for first, last in candidate)

    assert all(any(first <= a and b <= last for first, last in plan) for a, b in needed)
    assert all(before[1] < after[0] for before, after in pairwise(plan))
    assert cost(plan) <= cost([(0, max(last for _, last in needed))])
    assert cost(plan) <= cost(merge_ranges(needed, 0))
