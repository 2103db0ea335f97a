"""What each route costs: its matrix products counted, and the time they take by the constants of a kind of device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Route = Literal["project", "folded_project", "absorbed", "folded"]
ROUTES: tuple[Route, ...] = ("project", "folded_project", "absorbed", "folded")


class Rates(NamedTuple):
    """What turns counts into seconds. Only the ratios matter."""

    flops_per_second: float
    wide_flops_per_second: float  # of float32
    bytes_per_second: float
    seconds_per_product: float
    seconds_per_backward_product: float


RATES = {
    # Measured by `benchmarks/calibrate_absorption.py` on 2 threads of an x86 CPU in float32.
    "cpu": Rates(2.0e11, 2.0e11, 2.0e10, 1.0e-5, 2.0e-5),
    # Not measured: the data sheet's order of magnitude of an H200, and 3 microseconds to launch a kernel.
    "cuda": Rates(5.5e14, 4.5e13, 4.2e12, 3.0e-6, 3.0e-6),
}


@dataclass(frozen=True)
class Shape:
    """One call. `tokens`, `widths`, `projected`, `positioned` have one entry a modality."""

    batch: int
    query_batch: int
    queries: int
    heads: int
    width: int
    out: int
    tokens: tuple[int, ...]
    widths: tuple[int, ...]
    projected: tuple[bool, ...]
    positioned: tuple[bool, ...]
    training: bool = False
    token_gradient: bool = False
    folded: bool = False  # the products of weights are kept from an earlier call
    queried: bool = False  # so are the projected queries
    itemsize: int = 4
    device: str = "cpu"  # a key of RATES
    by_triton: bool = False


class Cost(NamedTuple):
    """FLOPs, bytes, and the seconds that the constants make of them."""

    flops: int
    bytes: int
    seconds: float


class _Tally:
    def __init__(self, shape: Shape) -> None:
        self.shape, self.flops, self.bytes, self.seconds = shape, 0, 0, 0.0
        self.rates = RATES[shape.device]
        rates = self.rates
        self.per_second = rates.wide_flops_per_second if shape.itemsize > 2 else rates.flops_per_second

    def product(self, batch: int, m: int, n: int, k: int, gradients: int = 2) -> None:
        """`batch` products `[m, k] @ [k, n]`; training adds one product of the same size for each gradient."""
        flops, moved = 2 * batch * m * n * k, self.shape.itemsize * batch * (m * k + k * n + m * n)
        backward = gradients if self.shape.training else 0
        self.flops += flops * (1 + backward)
        self.bytes += moved * (1 + backward)
        once = max(flops / self.per_second, moved / self.rates.bytes_per_second)
        self.seconds += once * (1 + backward) + self.rates.seconds_per_product
        self.seconds += backward * self.rates.seconds_per_backward_product

    def traffic(self, elements: int) -> None:
        """Elements read or written outside products; the backward moves as many again, twice."""
        moved = self.shape.itemsize * elements * (3 if self.shape.training else 1)
        self.bytes += moved
        self.seconds += moved / self.rates.bytes_per_second


def cost(route: Route, s: Shape) -> Cost:
    """The cost of one forward of `route`, and of its backward if `s.training`."""
    t = _Tally(s)
    size, rows = s.width // s.heads, s.heads * s.queries
    outer = 1 + int(s.token_gradient)  # products with raw tokens: frozen tokens need one gradient only
    if not s.queried:
        t.product(1, s.query_batch * s.queries, s.width, s.width)
    t.product(1, s.batch * s.queries, s.out, s.width)
    by_fold = route in ("folded", "folded_project")
    projecting = route in ("project", "folded_project")
    # Scores, their sum with the offsets, softmax; the kernels keep weights alone, and those of `project` nothing.
    passes = 6 if not s.by_triton else 0 if projecting else 2
    t.traffic(passes * s.batch * rows * sum(s.tokens))
    if route == "absorbed":
        t.product(s.heads, s.query_batch * s.queries, s.width, size)
        t.product(s.heads, s.batch * s.queries, size, s.width)
    for count, width, projected, positioned in zip(s.tokens, s.widths, s.projected, s.positioned, strict=True):
        if by_fold and not s.folded:
            for _ in range(2):
                if projected:
                    t.product(1, s.width, width, s.width)
                if positioned:
                    t.product(1, count, s.width, s.width)
        if projecting:
            source = width if by_fold else s.width
            trained = outer if by_fold else 2
            if route == "project" and projected:
                t.product(1, s.batch * count, s.width, width, outer)
            for _ in range(2):
                t.product(1, s.batch * count, s.width, source, trained)
            if positioned:
                t.traffic((4 if by_fold else 2) * s.batch * count * s.width)
            t.product(s.batch * s.heads, s.queries, count, size)
            t.product(s.batch * s.heads, s.queries, size, count)
            if not s.by_triton:
                t.traffic(4 * s.batch * count * s.width)  # each head's keys and values are laid out
            continue
        t.product(s.batch, rows, count, width, outer)
        t.product(s.batch, rows, width, count, outer)
        if route == "folded":
            t.product(s.heads, s.query_batch * s.queries, width, size)
            t.product(s.heads, s.batch * s.queries, size, width)
            t.traffic(2 * s.batch * rows * width)
            if positioned:
                t.product(s.heads, s.query_batch * s.queries, count, size)
                t.product(s.heads, s.batch * s.queries, size, count)
                t.traffic(2 * s.batch * rows * count)
            continue
        if projected:
            t.product(1, s.query_batch * rows, width, s.width)
            t.product(1, s.batch * rows, s.width, width)
        if positioned:
            t.product(1, s.query_batch * rows, count, s.width)
            t.product(1, s.batch * rows, s.width, count)
    return Cost(t.flops, t.bytes, t.seconds)


def cheapest(s: Shape, possible: tuple[Route, ...] = ROUTES) -> Route:
    """The route with the least time by the count, of those that are possible."""
    # torch.compile cannot trace min() with a key.
    seconds = [cost(route, s).seconds for route in possible]
    return possible[seconds.index(min(seconds))]
