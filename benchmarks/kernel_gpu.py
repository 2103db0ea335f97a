"""The fused cross-modal attention on a GPU: its tests, then every shape of a grid against what PyTorch offers.

    python benchmarks/kernel_gpu.py --out benchmarks/results/kernel_gpu

Needs torch and Triton only. Baselines in the same run: the eager reference, SDPA over concatenated keys and values, and
compiled FlexAttention over the same; all are given the concatenation for free, and none of them returns the modalities'
mass. Each is timed with events, eagerly and as a CUDA graph, in rounds that take turns; the figures are medians, with
quartiles in the JSON. Bandwidth is what the operator must read and write at least, over the copy bandwidth measured in
the same run. Shapes left when `--seconds` have passed are listed as not run. `--quick` runs two small shapes; with
TRITON_INTERPRET=1 and `--device cpu` that exercises this script without a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from affectgpt.kernels import cross_modal_attention  # noqa: E402
from affectgpt.kernels.cross_modal.reference import reference  # noqa: E402
from tests.kernels.cross_modal.cases import CASES, close, make  # noqa: E402

HEAD_DIMS, QUERIES, MODALITIES = (64, 128), (1, 4, 16, 64, 128), (1, 2, 3)
TOKENS = (16, 264, 1024, 2848, 16384)
BATCHES = (1, 4, 32)
ROUNDS = 30


@dataclass(frozen=True)
class Shape:
    """Batch B, query heads H over KV key heads, Q queries, T tokens in M modalities, heads d wide."""

    batch: int
    heads: int
    kv_heads: int
    queries: int
    tokens: int
    modalities: int
    width: int
    masked: bool
    dtype: str = "bfloat16"

    def lengths(self) -> list[int]:
        """Half of the tokens in the first modality, the rest shared among the others."""
        if self.modalities == 1:
            return [self.tokens]
        remaining = self.tokens // 2
        other_lengths = [remaining // (self.modalities - 1)] * (self.modalities - 1)
        return [self.tokens - sum(other_lengths), *other_lengths]

    def bytes(self) -> int:
        """What one forward has to move at least: keys, values, queries, result, mass, mask."""
        size = getattr(torch, self.dtype).itemsize
        read = 2 * self.batch * self.kv_heads * self.tokens * self.width + self.heads * self.queries * self.width
        wrote = self.batch * self.heads * self.queries * self.width
        mass = self.batch * self.heads * self.queries * (self.modalities + 1) * 4
        return size * (read + wrote) + mass + self.batch * self.tokens * self.masked


def grid() -> Iterator[Shape]:
    """Every shape: those that matter most to a fuser (many tokens, few queries, masks) first."""
    shapes = [
        Shape(batch, 16, 16, queries, tokens, modalities, width, masked)
        for masked, modalities, tokens, queries, width, batch in itertools.product(
            (True, False), MODALITIES, TOKENS, QUERIES, HEAD_DIMS, BATCHES
        )
    ]
    shapes += [Shape(4, 16, 4, queries, tokens, 2, 128, True) for queries in QUERIES for tokens in TOKENS]
    small = 12 * 1024**3
    yield from sorted(
        (shape for shape in shapes if shape.batch * shape.heads * shape.queries * shape.tokens * 4 < small),
        key=lambda shape: (shape.modalities != 2, shape.width != 64, not shape.masked, shape.batch != 4, -shape.tokens),
    )


def inputs(shape: Shape, device: str) -> dict[str, Any]:
    """Queries shared by the batch, keys and values per modality, masks of which 30 % is padding at the end."""
    dtype = getattr(torch, shape.dtype)
    generator = torch.Generator(device).manual_seed(0)

    def noise(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, device=device, dtype=dtype)

    keys = [noise(shape.batch, shape.kv_heads, length, shape.width) for length in shape.lengths()]
    values = [noise(shape.batch, shape.kv_heads, length, shape.width) for length in shape.lengths()]
    masks = None
    if shape.masked:
        masks = []
        for length in shape.lengths():
            least = max(1, int(length * 0.4))
            real = torch.randint(least, length + 1, (shape.batch, 1), generator=generator, device=device)
            masks.append(torch.arange(length, device=device)[None] < real)
    queries = noise(1, shape.heads, shape.queries, shape.width)
    return {"queries": queries, "keys": keys, "values": values, "masks": masks}


def contenders(shape: Shape, given: dict[str, Any], device: str) -> dict[str, Callable[[], Tensor]]:
    """Callables that give `out`; the baselines start from what was concatenated before."""
    queries, keys, values, masks = given["queries"], given["keys"], given["values"], given["masks"]
    key, value = torch.cat(keys, dim=2).detach(), torch.cat(values, dim=2).detach()
    key.requires_grad_(keys[0].requires_grad), value.requires_grad_(keys[0].requires_grad)
    mask = torch.cat(masks, dim=1) if masks else None
    wide = queries.expand(shape.batch, -1, -1, -1)
    scale, gqa = shape.width**-0.5, shape.heads != shape.kv_heads
    added = mask[:, None, None, :] if mask is not None else None
    runs: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: cross_modal_attention(queries, keys, values, masks=masks, impl="triton")[0],
        "eager": lambda: reference(queries, keys, values, masks or [None] * len(keys), None, scale)[0],
        "sdpa": lambda: scaled_dot_product_attention(wide, key, value, attn_mask=added, enable_gqa=gqa),
    }
    if device == "cuda":
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        block = None
        if mask is not None:

            def real(b: Tensor, h: Tensor, q: Tensor, t: Tensor) -> Tensor:
                return mask[b, t]

            block = create_block_mask(real, shape.batch, None, shape.queries, shape.tokens, device=device)
        flex = torch.compile(flex_attention)
        runs["flex"] = lambda: flex(wide, key, value, block_mask=block, enable_gqa=gqa)
    return runs


def timed(run: Callable[[], object], device: str) -> float:
    """Milliseconds of one call."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    start_event, end_event = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start_event.record()
    run()
    end_event.record()
    end_event.synchronize()
    return float(start_event.elapsed_time(end_event))


def graphed(run: Callable[[], object]) -> Callable[[], object]:
    """`run` recorded as a CUDA graph of ten calls, so that the launch of the graph itself does not count."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(10):
            run()
    return graph.replay


def compare(runs: dict[str, Callable[[], object]], device: str, rounds: int, calls: int = 1) -> dict[str, Any]:
    """Median milliseconds and quartiles of each, in rounds that take turns; a contender that fails says why."""
    times: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for name, run in runs.items():
        try:
            for _ in range(3):
                run()
            times[name] = []
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    for _ in range(rounds):
        for name in times:
            times[name].append(timed(runs[name], device) / calls)
    report: dict[str, Any] = {
        name: {"median": statistics.median(seconds), "quartiles": statistics.quantiles(seconds, n=4)[::2]}
        for name, seconds in times.items()
    }
    return {**report, **{name: {"failed": why} for name, why in failed.items()}}


def measure(shape: Shape, device: str, rounds: int, bandwidth: float) -> dict[str, Any]:
    """One shape: forward and forward with backward, eagerly and as graphs."""
    row: dict[str, Any] = {"shape": asdict(shape)}
    tensors = inputs(shape, device)
    runs = contenders(shape, tensors, device)
    row["forward"] = compare(runs, device, rounds)
    if device == "cuda":
        graphs = {}
        for name, run in runs.items():
            try:
                graphs[name] = graphed(run)
            except Exception as error:
                row.setdefault("not graphed", {})[name] = str(error).splitlines()[0][:200]
        row["forward_graph"] = compare(graphs, device, rounds, calls=10)
        if "ours" in graphs:
            row["share_of_copy_bandwidth"] = shape.bytes() / row["forward_graph"]["ours"]["median"] / 1e6 / bandwidth
    for tensor in (tensors["queries"], *tensors["keys"], *tensors["values"]):
        tensor.requires_grad_()
    trained = contenders(shape, tensors, device)
    row["training"] = compare({name: _backward(run) for name, run in trained.items()}, device, rounds)
    for mode in ("forward", "forward_graph", "training"):
        medians = {name: each["median"] for name, each in row.get(mode, {}).items() if "median" in each}
        if len(medians) > 1 and "ours" in medians:
            best = min((name for name in medians if name != "ours"), key=lambda name: medians[name])
            row[f"{mode}_best"], row[f"{mode}_ratio"] = best, medians[best] / medians["ours"]
    return row


def _backward(run: Callable[[], Tensor]) -> Callable[[], None]:
    def both() -> None:
        run().float().sum().backward()

    return both


def copy_bandwidth(device: str) -> float:
    """Gigabytes a second that a copy of 1 GiB (64 MiB on a CPU) reads and writes."""
    source = torch.empty(2**30 if device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = [timed(lambda: target.copy_(source), device) for _ in range(12)][2:]
    return 2 * source.numel() / statistics.median(times) / 1e6


def tests(device: str, quick: bool) -> list[str]:
    """The operator's own cases on this device, in every dtype that it can run; names of those that failed."""
    dtypes = [torch.float32, torch.float16] + ([torch.bfloat16] if device == "cuda" else [])
    failed = []
    for (name, options), dtype in itertools.product(list(CASES.items())[: 2 if quick else None], dtypes):
        try:
            close(make(**{**options, "dtype": dtype, "device": device}), "triton")
        except Exception as error:
            failed.append(f"{name}, {dtype}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
    return failed


def table(rows: list[dict[str, Any]]) -> str:
    """Every shape as a row of Markdown: the ratio of the best baseline's time to ours, losses included."""
    head = "| B | H/KV | Q | T | M | d | mask | forward | graph | training | of copy bandwidth |\n|" + " --- |" * 11
    lines = [head]
    for row in rows:
        s = row["shape"]
        ratios = [
            f"{row[f'{mode}_ratio']:.2f} ({row[f'{mode}_best']})" if f"{mode}_ratio" in row else "-"
            for mode in ("forward", "forward_graph", "training")
        ]
        share = f"{row['share_of_copy_bandwidth']:.0%}" if "share_of_copy_bandwidth" in row else "-"
        facts = [s["batch"], f"{s['heads']}/{s['kv_heads']}", s["queries"], s["tokens"], s["modalities"], s["width"]]
        cells = [*map(str, facts), "yes" if s["masked"] else "no", *ratios, share]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Test, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="two small shapes and two rounds")
    parser.add_argument("--seconds", type=float, default=520, help="after which no further shape is begun")
    parser.add_argument("--out", type=Path, help="writes OUT.json and OUT.md")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU here; TRITON_INTERPRET=1 with --device cpu --quick tries it")
    start, device = time.perf_counter(), arguments.device
    failed = tests(device, arguments.quick)
    print(f"tests: {len(failed)} failed" + "".join(f"\n  {each}" for each in failed), flush=True)
    bandwidth = copy_bandwidth(device)
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    print(f"{name}: copies at {bandwidth:.0f} GB/s", flush=True)
    shapes = list(grid())
    if arguments.quick:
        shapes = [Shape(2, 2, 1, 3, 20, 2, 16, masked, "float32") for masked in (True, False)]
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for shape in shapes:
        if time.perf_counter() - start > arguments.seconds:
            skipped.append(asdict(shape))
            continue
        try:
            rows.append(measure(shape, device, 2 if arguments.quick else ROUNDS, bandwidth))
        except torch.OutOfMemoryError:
            skipped.append({**asdict(shape), "why": "out of memory"})
        print(table(rows[-1:]).splitlines()[-1] if rows else shape, flush=True)
    machine = {
        "device": name,
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": platform.python_version(),
        "copy_gigabytes_per_second": bandwidth,
    }
    result = {"machine": machine, "failed_tests": failed, "rows": rows, "not_run": skipped}
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        text = f"{name}, torch {torch.__version__}, triton {triton.__version__}; {len(skipped)} shapes not run\n\n"
        arguments.out.with_suffix(".md").write_text(text + table(rows) + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
