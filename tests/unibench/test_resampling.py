from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.registry.errors import DataError
from affectgpt.unibench import resampling
from affectgpt.unibench.resampling import Resampling, TermSums, mean_figure
from affectgpt.unibench.result import Figure


class Share:
    """The share of right clips: `terms` are 1 if right, and 1."""

    primary = "share"

    def terms(self, truth: Sequence[int], predicted: Sequence[int]) -> np.ndarray:
        right = np.asarray(truth) == np.asarray(predicted)
        return np.stack([right, np.ones(len(right))], axis=1).astype(float)

    def figures(self, sums: np.ndarray, *, empty: float = math.nan) -> dict[str, np.ndarray]:
        return {
            "share": np.divide(
                sums[..., 0], sums[..., 1], out=np.full(sums[..., 1].shape, np.nan), where=sums[..., 1] != 0
            )
        }


def tally_of(
    right: Sequence[bool], *, names: Sequence[str] | None = None, chunk: int = 1000, **options: int
) -> TermSums:
    metric = Share()
    tally = TermSums(metric, Resampling(**options), paired=True)  # type: ignore[arg-type]
    names = names or [f"clip {i}" for i in range(len(right))]
    for start in range(0, len(right), chunk):
        part = [int(each) for each in right[start : start + chunk]]
        tally.add(names[start : start + chunk], metric.terms([1] * len(part), part))
    return tally


def test_the_interval_is_that_of_the_binomial() -> None:
    right = [i % 10 < 7 for i in range(500)]
    figure = tally_of(right, replicates=4000).figures()["share"]
    deviation = math.sqrt(0.7 * 0.3 / 500)
    assert figure.value == pytest.approx(0.7) and figure.low is not None and figure.high is not None
    assert figure.low == pytest.approx(0.7 - 1.96 * deviation, abs=0.004)
    assert figure.high == pytest.approx(0.7 + 1.96 * deviation, abs=0.004)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(0)
    count = 0
    for trial in range(200):
        right = (draw.random(200) < 0.6).tolist()
        figure = tally_of(right, names=[f"{trial} {i}" for i in range(200)], replicates=300).figures()["share"]
        assert figure.low is not None and figure.high is not None
        count += figure.low <= 0.6 <= figure.high
    assert 0.90 <= count / 200 <= 0.99


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_order_and_the_chunks_of_clips_are_nothing(right: list[bool], chunk: int, random: object) -> None:
    names = [f"clip {i}" for i in range(len(right))]
    order = sorted(names, key=lambda name: hash((name, chunk)))
    mixed = [right[names.index(name)] for name in order]
    one, second = tally_of(right, replicates=50), tally_of(mixed, names=order, chunk=chunk, replicates=50)
    assert one.has_same_clips(second)
    for name, figure in one.figures().items():
        again = second.figures()[name]
        assert (figure.value, figure.low, figure.high) == pytest.approx((again.value, again.low, again.high))


def test_the_seed_and_the_number_of_replicates_do_something() -> None:
    right = [i % 3 == 0 for i in range(100)]
    assert tally_of(right, seed=0).figures() == tally_of(right, seed=0).figures()
    assert tally_of(right, seed=0).figures() != tally_of(right, seed=1).figures()
    none = tally_of(right, replicates=0).figures()["share"]
    assert (none.low, none.high) == (None, None) and none.value == pytest.approx(0.34)


def test_each_replicate_draws_every_clip_once_on_average() -> None:
    keys = np.arange(3000, dtype=np.uint64)
    draws = Resampling(501).draws(keys, "x")
    assert draws.shape == (3000, 501) and draws.dtype == np.uint16
    assert abs(draws.mean() / 65535 - 0.5) < 0.001
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.06 and abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 0.15
    times = tally_of([True] * 400, replicates=999)._resampled[:, 1]
    assert times.mean() == pytest.approx(400, rel=0.01) and times.std() == pytest.approx(20, rel=0.1)


def test_a_system_does_not_differ_from_itself() -> None:
    right = [i % 4 == 0 for i in range(80)]
    comparison = tally_of(right).compare_with(tally_of(right), "set", "twin")
    assert (
        comparison.p_value == 1
        and comparison.difference.value == 0
        and comparison.difference.low == comparison.difference.high == 0
    )


def test_a_clear_difference_is_found_and_has_the_sign_of_the_first() -> None:
    good, bad = [i % 10 < 8 for i in range(300)], [i % 10 < 5 for i in range(300)]
    comparison = tally_of(good).compare_with(tally_of(bad), "set", "bad")
    assert comparison.p_value == pytest.approx(1 / 1001) and comparison.difference.value == pytest.approx(0.3)
    assert comparison.difference.low is not None and comparison.difference.low > 0.2
    back = tally_of(bad).compare_with(tally_of(good), "set", "good")
    assert back.p_value == comparison.p_value and back.difference.value == pytest.approx(-0.3)


def test_systems_that_differ_by_chance_are_rarely_told_apart() -> None:
    draw = np.random.default_rng(1)
    small = 0
    for trial in range(200):
        names = [f"{trial} {i}" for i in range(100)]
        one, second = (tally_of((draw.random(100) < 0.5).tolist(), names=names, replicates=200) for _ in range(2))
        small += one.compare_with(second, "set", "other").p_value <= 0.05
    assert small / 200 <= 0.10


def test_the_exact_p_of_a_small_case() -> None:
    # 5 clips differ, all in favour of one: of 2^5 ways to exchange them 2 differ as much.
    comparison = tally_of([True] * 5 + [False] * 20, replicates=20_000).compare_with(
        tally_of([False] * 25, replicates=20_000), "set", "other"
    )
    assert comparison.p_value == pytest.approx(2 / 32, abs=0.006)


def test_other_clips_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="same clips"):
        tally_of([True] * 3).compare_with(tally_of([True] * 3, names=["a", "b", "c"]), "set", "other")
    with pytest.raises(DataError, match="replicates"):
        tally_of([True], replicates=0).compare_with(tally_of([True], replicates=0), "set", "other")
    with pytest.raises(DataError, match="no clip"):
        TermSums(Share(), Resampling()).values()


def test_the_mean_is_the_plain_mean_with_an_interval_of_its_own() -> None:
    tallies = {"a": tally_of([True, False] * 50), "b": tally_of([True] * 5)}
    figure = mean_figure(tallies)
    assert figure.value == pytest.approx(0.75) and figure.low is not None and 0.69 < figure.low < 0.73
    assert resampling.figure(math.nan, np.zeros(3)).value is None


def test_replicates_without_a_value_are_left_out_and_too_many_give_no_interval() -> None:
    def rare(counted: int) -> TermSums:
        tally = TermSums(Share(), Resampling(2000))
        terms = np.zeros((200, 2))
        terms[:counted] = 1
        tally.add([f"clip {i}" for i in range(200)], terms)
        return tally

    # Of two clips that count, neither is drawn in e^-2 = 14 % of the replicates.
    figure = rare(2)
    assert np.isnan(figure.replicates()["share"]).mean() == pytest.approx(math.exp(-2), abs=0.03)
    assert figure.figures()["share"] == Figure(1.0, 1.0, 1.0)
    assert resampling.figure(0.5, np.array([0.4, np.nan, np.nan])) == Figure(0.5)


def test_few_draws_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tally_of([i % 3 == 0 for i in range(100)]).figures()
    monkeypatch.setattr(resampling, "_DRAWS_AT_ONCE", 7000)
    assert tally_of([i % 3 == 0 for i in range(100)]).figures() == figures
