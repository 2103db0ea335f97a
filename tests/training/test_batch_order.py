"""Which clips a micro-batch holds: laws of the order, whatever the number of processes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.config import TrainingConfig
from affectgpt.training.batch_order import BatchOrder, split
from affectgpt.training.schedule import derive_seed

ORDERS = st.builds(
    BatchOrder,
    st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True),
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(1, 6),
)


@given(ORDERS)
def test_every_epoch_holds_every_clip_once(order: BatchOrder) -> None:
    steps = 40 // (order.batch_size * order.micro_batches) + 2
    places = [(step, number) for step in range(steps) for number in range(order.micro_batches)]
    results = [clip for place in places for clip in order.clips(*place)]
    count = len(order.clip_indices)
    for start in range(0, len(results) - count + 1, count):
        assert sorted(results[start : start + count]) == sorted(order.clip_indices)


@given(ORDERS, st.integers(1, 6), st.integers(0, 5))
def test_processes_share_a_steps_micro_batches(order: BatchOrder, processes: int, begin: int) -> None:
    steps = range(begin, begin + 2)
    single = list(order.requests(steps, 0, 1))
    by_step = [
        request
        for step in steps
        for number in range(order.micro_batches)
        for request in list(order.requests(range(step, step + 1), number % processes, processes))[
            number // processes :
        ][:1]
    ]
    assert by_step == single and len({request.seed for request in single}) == len(single)


def test_epochs_differ_and_so_do_seeds() -> None:
    order, second = BatchOrder(range(50), 1, 50, 1), BatchOrder(range(50), 2, 50, 1)
    assert sorted(order.clips(0, 0)) != order.clips(0, 0) != order.clips(1, 0) != second.clips(1, 0)


@given(st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 9))
def test_what_is_held_out_is_not_trained_on(count: int, share: float, seed: int) -> None:
    indices, held_out = split(count, TrainingConfig(validation_share=share), seed)
    assert sorted([*indices, *held_out]) == list(range(count)) and indices
    assert bool(held_out) == (share > 0 and count > 1) and abs(len(held_out) - share * count) <= 1
    assert (indices, held_out) == split(count, TrainingConfig(validation_share=share), seed)


def test_a_seed_depends_on_each_part() -> None:
    parts = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a"), (0, "a", 1, 1), ("0", "a", 1)]
    assert len({derive_seed(*part) for part in parts}) == len(parts) and derive_seed(0, "a", 1) == derive_seed(
        0, "a", 1
    )
    assert all(0 <= derive_seed(part) < 2**32 for part in range(100))
