"""Measures the constants of a CPU in `absorbed_cross_modal/cost.py` (RATES), each the median of repeated runs.

    python benchmarks/calibrate_absorption.py

FLOPS: products of 1024 wide float32 matrices with 2048 rows. BYTES: a sum of two arrays of 64 MB, three passes. The
time of a product and of a backward product: a product of 1 x 1 matrices, and a call of `linear` on them with its
backward.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear


def median_seconds(run: Callable[[], object], rounds: int) -> float:
    """The median time of a call, after three that do not count."""
    times = []
    for round_number in range(rounds + 3):
        start = time.perf_counter()
        run()
        if round_number >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(2)
    x, w = torch.randn(2048, 1024), torch.randn(1024, 1024)
    a, b, c = (torch.randn(2**24) for _ in range(3))
    one, weight = torch.ones(1, 1, requires_grad=True), torch.ones(1, 1, requires_grad=True)
    flops = 2 * 2048 * 1024 * 1024 / median_seconds(lambda: linear(x, w), 30)
    moved = 3 * 4 * 2**24 / median_seconds(lambda: torch.add(a, b, out=c), 30)
    with torch.no_grad():
        product = median_seconds(lambda: linear(one, weight), 2000)
    both = median_seconds(lambda: linear(one, weight).backward(), 2000)
    print(f"flops_per_second = {flops:.1e}\nbytes_per_second = {moved:.1e}")
    print(f"seconds_per_product = {product:.1e}\nseconds_per_backward_product = {max(0.0, both - product) / 2:.1e}")


if __name__ == "__main__":
    main()
