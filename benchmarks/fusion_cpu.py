"""Cross-modal attention by `absorbed_cross_modal_attention` against projecting every token first, on a CPU.

    python benchmarks/fusion_cpu.py --out benchmarks/results/fusion_cpu.json

Two modalities, 1024 and 768 wide, tokens 3:1, position biases, learned queries. Forward: evaluation without gradients,
products of weights kept between calls. Training: frozen tokens, every weight and the queries trained, nothing kept.
Baselines: eager attention and SDPA, each over concatenated keys and values. All run in turn within each round; a ratio
is taken within a round, so that load on the machine hits both sides of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import Fold, FusionWeights
from affectgpt.kernels.absorbed_cross_modal.cost import ROUTES, Shape, cheapest

WIDTH, HEADS, BATCH, WIDTHS = 1024, 16, 4, (1024, 768)
QUERIES, TOKENS = (1, 4, 16), (16, 264, 1024, 2848)
TARGETS = {("forward", 16, 2848): 5.0, ("forward", 4, 2848): 12.0, ("training", 16, 2848): 3.0}
FLOOR = 0.95


def setting(queries: int, total: int) -> tuple[Tensor, list[Tensor], FusionWeights]:
    """Learned queries, tokens and weights of one shape."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * shape[-1] ** -0.5

    lengths = (total * 3 // 4, total - total * 3 // 4)
    weights = FusionWeights(
        tuple(draw(WIDTH, w) for w in WIDTHS),
        *(draw(WIDTH, WIDTH) for _ in range(4)),
        positions=tuple(draw(n, WIDTH) for n in lengths),
    )
    tokens = [torch.randn(BATCH, n, w, generator=generator) for n, w in zip(lengths, WIDTHS, strict=True)]
    return torch.randn(1, queries, WIDTH, generator=generator), tokens, weights


def baseline(queries: Tensor, tokens: list[Tensor], weights: FusionWeights, fused: bool) -> Tensor:
    """Project, concatenate, attend; SDPA if `fused`. Neither gives the modalities' mass."""
    read = zip(tokens, weights.inputs, weights.positions, strict=True)
    y = torch.cat([linear(x, e) + p for x, e, p in read], 1)  # type: ignore[arg-type,operator]

    def split(x: Tensor) -> Tensor:
        return x.unflatten(2, (HEADS, -1)).transpose(1, 2)

    q = split(linear(queries, weights.query)).expand(BATCH, -1, -1, -1)
    k, v = split(linear(y, weights.key)), split(linear(y, weights.value))
    if fused:
        heads = scaled_dot_product_attention(q, k, v)
    else:
        heads = ((q @ k.transpose(2, 3)) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return linear(heads.transpose(1, 2).flatten(2), weights.out)


def contenders(
    queries: Tensor, tokens: list[Tensor], weights: FusionWeights, every: bool
) -> dict[str, Callable[[], Tensor]]:
    """What is timed: the two baselines, the operator, and with `every` each of its routes."""
    cache = Fold()

    def operator(impl: str) -> Callable[[], Tensor]:
        return lambda: absorbed_cross_modal_attention(
            queries, tokens, weights, num_heads=HEADS, impl=impl, cache=cache
        )[0]  # type: ignore[arg-type]

    return {
        "eager": lambda: baseline(queries, tokens, weights, False),
        "sdpa": lambda: baseline(queries, tokens, weights, True),
        **{impl: operator(impl) for impl in ("auto", *(ROUTES if every else ()))},
    }


def seconds(run: Callable[[], Tensor], trained: list[Tensor]) -> float:
    """One forward, and its backward where there is something to train."""
    for tensor in trained:
        tensor.grad = None
    start = time.perf_counter()
    if trained:
        run().sum().backward()
    else:
        with torch.no_grad():
            run()
    return time.perf_counter() - start


def measure(mode: str, queries: int, total: int, budget: float, every: bool) -> dict[str, Any]:
    """Interleaved rounds of one shape until `budget` seconds have passed, at least 5 and at most 200."""
    learned, tokens, weights = setting(queries, total)
    trained = [learned, *(t for _, t in weights.tensors())] if mode == "training" else []
    for tensor in trained:
        tensor.requires_grad_()
    runs = contenders(learned, tokens, weights, every)
    expected = runs["eager"]().detach()
    for name, run in runs.items():
        error = (run().detach() - expected).abs().max().item()
        if error > 1e-5:
            raise RuntimeError(f"{name} differs from eager by {error:.1e} at {queries} queries, {total} tokens")
        seconds(run, trained)
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, end = list(runs), time.perf_counter() + budget
    while len(times["auto"]) < 5 or (time.perf_counter() < end and len(times["auto"]) < 200):
        order.append(order.pop(0))  # each takes its turn to come first
        for name in order:
            times[name].append(seconds(runs[name], trained))
    shape = Shape(
        BATCH,
        1,
        queries,
        HEADS,
        WIDTH,
        WIDTH,
        tuple(x.shape[1] for x in tokens),
        WIDTHS,
        (True,) * 2,
        (True,) * 2,
        training=bool(trained),
        folded=not trained,
        queried=not trained,
    )
    ratios = {b: sorted(x / y for x, y in zip(times[b], times["auto"], strict=True)) for b in ("eager", "sdpa")}
    best = min(ratios, key=lambda name: statistics.median(times[name]))
    return {
        "mode": mode,
        "queries": queries,
        "tokens": total,
        "route": cheapest(shape),
        "rounds": len(times["auto"]),
        "milliseconds": {name: round(statistics.median(t) * 1e3, 3) for name, t in times.items()},
        "ratio": {
            name: {
                "median": round(statistics.median(r), 3),
                "quartiles": [round(q, 3) for q in statistics.quantiles(r, n=4)[::2]],
            }
            for name, r in ratios.items()
        },
        "best_baseline": best,
        "ratio_to_best": round(statistics.median(ratios[best]), 3),
        "target": TARGETS.get((mode, queries, total), FLOOR),
    }


def _line(row: dict[str, Any]) -> str:
    ms, ratio = row["milliseconds"], row["ratio"]
    met = "met" if row["ratio_to_best"] >= row["target"] else "MISSED"
    return (
        f"{row['mode']:8} {row['queries']:2} {row['tokens']:6} {row['route']:14} {ms['eager']:7.2f} {ms['sdpa']:7.2f}"
        f" {ms['auto']:8.2f}  {ratio['eager']['median']:7.2f} {ratio['sdpa']['median']:7.2f}"
        f" {ratio['sdpa']['quartiles']}  {row['target']} {met}"
    )


def main() -> None:
    """Time the grid, print it, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each shape and mode")
    parser.add_argument("--every-route", action="store_true", help="time each route too: is the choice right?")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()
    rows = []
    print("mode      Q tokens route           eager    sdpa    auto ms   x eager  x sdpa (quartiles)   target")
    for mode in ("forward", "training"):
        for queries in QUERIES:
            for total in TOKENS:
                row = measure(mode, queries, total, arguments.seconds, arguments.every_route)
                rows.append(row)
                print(_line(row), flush=True)
                if arguments.every_route:
                    print("   ", row["milliseconds"], flush=True)
    facts = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load_before": load,
        "load_after": os.getloadavg(),
        "batch": BATCH,
        "width": WIDTH,
        "heads": HEADS,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
