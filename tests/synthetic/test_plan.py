from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.registry.errors import ConfigError
from affectgpt.synthetic.clip import ClipPlan, plan_clip
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.identity import POOL_SIZE, Split, draw_identity

DEFAULT = Difficulty()
SEEDS = st.integers(0, 2**63 - 1)


def plans(seed: int, split: Split, count: int) -> list[ClipPlan]:
    return [plan_clip(seed, split, index, DEFAULT) for index in range(count)]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(0, 1000))
def test_each_block_of_16_holds_each_combination_once(seed: int, block: int) -> None:
    combinations = [plan_clip(seed, "train", 16 * block + place, DEFAULT).combination for place in range(16)]
    assert len({(combination.face, combination.voice) for combination in combinations}) == 16


def test_order_differs_between_blocks_and_seeds() -> None:
    orders = [
        tuple(plan.combination.adjective for plan in plans(seed, "train", 48)[16 * block : 16 * block + 16])
        for seed, block in itertools.product((1, 2), range(3))
    ]
    assert len(set(orders)) == len(orders)


def test_splits_share_no_identity() -> None:
    pools = {split: {draw_identity(split, number) for number in range(POOL_SIZE[split])} for split in POOL_SIZE}
    assert len(pools["train"]) == POOL_SIZE["train"] and len(pools["test"]) == POOL_SIZE["test"]
    assert not pools["train"] & pools["test"]
    assert not {who.f0 for who in pools["train"]} & {who.f0 for who in pools["test"]}


@settings(max_examples=15, deadline=None)
@given(SEEDS, SEEDS, st.integers(0, 500))
def test_splits_share_no_stream_whatever_their_seeds(train_seed: int, test_seed: int, index: int) -> None:
    train, test = plan_clip(train_seed, "train", index, DEFAULT), plan_clip(test_seed, "test", index, DEFAULT)
    assert train.face_strength != test.face_strength
    assert train.camera_noise != test.camera_noise


def test_seeds_beyond_32_bits_are_streams_of_their_own() -> None:
    levels = {plan_clip(seed, split, 1, DEFAULT).voice_snr for seed in (3, 3 + 2**32) for split in ("train", "test")}
    assert len(levels) == 4


def test_nothing_but_the_combination_goes_with_the_emotion() -> None:
    drawn = plans(5, "train", 1600)
    for name in ("face_strength", "voice_strength", "seconds", "camera_noise", "voice_snr"):
        overall = sum(getattr(plan, name) for plan in drawn) / len(drawn)
        low, high = getattr(DEFAULT, name)
        for voice in ("bright", "harsh", "trembling", "flat"):
            of_voice = [getattr(plan, name) for plan in drawn if plan.combination.voice == voice]
            assert len(of_voice) == 400
            assert abs(sum(of_voice) / 400 - overall) < 0.06 * (high - low)
    assert len({plan.subtitle for plan in drawn}) >= 25
    assert max(Counter(plan.subtitle for plan in drawn).values()) < 100


def test_levels_stay_in_their_ranges() -> None:
    for plan in plans(2, "test", 200):
        for name in ("face_strength", "voice_strength", "face_share", "voice_share", "camera_noise", "voice_snr"):
            low, high = getattr(DEFAULT, name)
            assert low <= getattr(plan, name) <= high
        assert 1.95 <= plan.seconds <= 6.05


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("face_strength", (0.8, 0.2)),
        ("face_strength", (0.2, 1.5)),
        ("voice_snr", (float("nan"), 20.0)),
        ("seconds", (0.1, 2.0)),
        ("seconds", (2.0, float("inf"))),
        ("camera_noise", 5.0),
        ("camera_noise", (1.0, 2.0, 3.0)),
        ("face_share", ("a", "b")),
    ],
)
def test_unusable_ranges_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Difficulty(**{name: value})  # type: ignore[arg-type]


def test_all_unusable_ranges_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Difficulty(seconds=(9.0, 3.0), face_share=(0.0, 1.0))
    assert len(caught.value.problems) == 2
