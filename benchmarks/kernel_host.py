"""What a call of the fused attention costs the host, as a ratio to PyTorch's attention of one token.

    python benchmarks/kernel_host.py

No GPU is needed: Triton compiles for compute capability 9.0 and launches on a stub driver that only records (tests/
kernels/stub), with CPU tensors in the place of a GPU's. So the driver's own launch, some microseconds a kernel, and the
device are not in the figures; PyTorch's attention of one token, which they are compared with, does compute on the CPU.
Each round measures both, one after the other, in CPU time; a line gives the median of the ratios, and the least and the
greatest. Limits: 1.7 without gradients, 12 with a backward.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kernels.stub import driver

STUB = driver.use()

import torch  # noqa: E402
from torch.nn.functional import scaled_dot_product_attention as sdpa  # noqa: E402

from affectgpt.kernels import cross_modal_attention  # noqa: E402

LIMITS = {"without gradients": 1.7, "with a backward": 12.0}


def seconds(call: Callable[[], object], calls: int) -> float:
    """CPU time of one call."""
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=200, help="a round, of a forward; of a backward a quarter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    queries = torch.randn(1, 4, 16, 64, dtype=torch.bfloat16)
    keys, values = ([torch.randn(2, 4, length, 64, dtype=torch.bfloat16) for length in (40, 24)] for _ in range(2))
    masks = [torch.ones(2, key.shape[2], dtype=torch.bool) for key in keys]
    short = [keys[0][:1, :, :1].contiguous(), values[0][:1, :, :1].contiguous()]
    leaves = [each.clone().requires_grad_() for each in (queries, *keys, *values)]
    upstream = torch.randn(2, 4, 16, 64, dtype=torch.bfloat16)

    def forward() -> object:
        return cross_modal_attention(queries, keys, values, impl="triton")

    def masked() -> object:
        return cross_modal_attention(queries, keys, values, masks=masks, impl="triton")

    def both() -> object:
        out, _ = cross_modal_attention(leaves[0], leaves[1:3], leaves[3:], impl="triton")
        return torch.autograd.grad(out, leaves, upstream)

    def one_token() -> object:
        return sdpa(queries, *short)

    cases = {"without gradients": forward, "without gradients, two masks": masked, "with a backward": both}
    for call in (*cases.values(), one_token):
        for _ in range(20):
            call()
    for name, call in cases.items():
        calls = options.calls if name.startswith("without") else -(-options.calls // 4)
        before = driver.launches(STUB)
        call()
        launched = driver.launches(STUB) - before
        ratios, costs = [], []
        for _ in range(options.rounds):
            cost, base = seconds(call, calls), seconds(one_token, calls)
            ratios.append(cost / base)
            costs.append(cost * 1e6)
        limit = f", limit {LIMITS[name]}" if name in LIMITS else ""
        print(
            f"{name}: {statistics.median(ratios):.2f} times one token ({min(ratios):.2f} to {max(ratios):.2f}){limit}; "
            f"{statistics.median(costs):.0f} us, {launched} launches"
        )


if __name__ == "__main__":
    main()
