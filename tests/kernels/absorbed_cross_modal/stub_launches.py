"""Launch the kernels on a libcuda that only records, and print how often each was launched and compiled.

Arguments: the folder of the stub, how many modalities, how many random tuples of lengths, `forward` or `both`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import random
import sys
from collections import Counter
from typing import Any

import torch

sys.path.insert(0, sys.argv[1])
stub = importlib.import_module("launch")
# The stub has to be there when Triton is imported.
launching = importlib.import_module("affectgpt.kernels.absorbed_cross_modal.triton")

NAMES = ("scores_kernel", "merge_kernel", "context_kernel", "delta_kernel")
KERNELS = (*NAMES, "scores_gradient_kernel", "tokens_gradient_kernel")
HEADS, QUERIES = 4, 20  # more than 64 rows
launched: Counter[str] = Counter()


class Recorded:
    """Launches a kernel and compares what the driver got with what was given."""

    def __init__(self, name: str) -> None:
        self.name, self.kernel = name, getattr(launching, name)

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **named: Any) -> None:
            values = {**dict(zip(self.kernel.arg_names, arguments, strict=False)), **named}
            tensors = [values[name] for name in self.kernel.arg_names if isinstance(values.get(name), torch.Tensor)]
            ctypes.c_int.in_dll(stub.stub, "pointers").value = len(tensors)
            self.kernel[grid](*arguments, **named)
            arrived = list((ctypes.c_ulonglong * 64).in_dll(stub.stub, "copied"))[: len(tensors)]
            assert arrived == [tensor.data_ptr() for tensor in tensors], self.name
            assert list((ctypes.c_uint * 3).in_dll(stub.stub, "last_grid")) == [grid[0], 1, 1], self.name
            launched[self.name] += 1

        return launch


def call(lengths: list[int], backward: bool) -> None:
    noise = torch.bfloat16
    widths = [64 * (1 + m % 2) for m in range(len(lengths))]
    rows = [torch.zeros(1, HEADS * QUERIES, width, dtype=noise) for width in widths]
    tokens = [torch.zeros(2, length, width, dtype=noise) for length, width in zip(lengths, widths, strict=True)]
    offsets = [torch.zeros(1, HEADS * QUERIES, 1, dtype=noise) for _ in lengths]
    masks = [torch.ones(2, length, dtype=torch.bool) for length in lengths]
    gates = torch.zeros(HEADS, len(lengths))
    arguments = (rows, tokens, offsets, [], masks, [], gates)
    contexts, mass, lse = launching.launch_forward(*arguments)
    if backward:
        needed = [True] * (1 + 3 * len(lengths))
        launching.launch_backward(contexts, mass, *arguments, contexts, mass, lse, needed)


def main() -> None:
    modalities, tuples, backward = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "both"
    stub.use_stub()
    kernels = {name: getattr(launching, name) for name in KERNELS}
    for name in KERNELS:
        setattr(launching, name, Recorded(name))
    call([70] * modalities, backward)
    once = dict(launched)
    random.seed(0)
    for _ in range(tuples):
        call([random.randint(1, 300) for _ in range(modalities)], backward)
    variants = {name: len(kernel.device_caches[0][0]) for name, kernel in kernels.items()}
    print(json.dumps({"launches": once, "variants": variants}))


if __name__ == "__main__":
    main()
