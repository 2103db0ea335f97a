"""Compile the kernels for GPUs that are not here and print what they take, one JSON object a line.

Arguments: a target, a dtype, a number of pipeline stages (0: the table's) and a form, such as `cuda:90 bf16 0 default`.
The form `odd` has everything at once: widths that do not divide by 16, lengths and masks, positions of every token.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from affectgpt.kernels.absorbed_cross_modal import backward, forward
from affectgpt.kernels.absorbed_cross_modal.triton import blocks
from tests.kernels.cross_modal.ahead_of_time import TARGETS, usage

KERNELS = {
    "scores": forward.scores_kernel,
    "context": forward.context_kernel,
    "scores_gradient": backward.scores_gradient_kernel,
    "tokens_gradient": backward.tokens_gradient_kernel,
    "merge": forward.merge_kernel,
    "delta": backward.delta_kernel,
}
# The default fuser: 16 heads, 16 queries, masks, gates, an input bias.
ROWS = 256
OPTIONAL = {"positions", "lengths"}
WIDE = {"tops", "sums", "mass", "d_mass", "lse", "delta", "d_sums"}
# What a launch specialises on, with widths that divide by 16.
DIVISIBLE = {"ROWS", "WIDTH", "COLUMNS", "column", "extra_column", "EXTRA", "a_b", "QUERIES"}


def source(name: str, dtype: str, sizes: dict[str, int], odd: bool) -> ASTSource:
    kernel = KERNELS[name]
    constants = {"M": 2, "M_PAD": 2, "PER_TOKEN": odd, "SHARED": False, **sizes}
    if name == "scores" or name == "scores_gradient":
        del constants["M"]
    signature: dict[str, str] = {}
    values: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    for index, argument in enumerate(kernel.arg_names):
        if argument in constants or (argument in OPTIONAL and not odd):
            signature[argument], values[(index,)] = "constexpr", constants.get(argument)
        elif argument == argument.lower() and not re.fullmatch(r"a_b|offset_b|first|index|\w*column|end_\d", argument):
            kinds = {"mask": "*i1", "lengths": "*i64"} | dict.fromkeys(WIDE, "*fp32")
            signature[argument] = kinds.get(argument, f"*{dtype}")
            attributes[(index,)] = [["tt.divisibility", 16]]
        else:
            signature[argument] = "i32"
            if argument in DIVISIBLE and not odd:
                attributes[(index,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, values, attributes)


def main() -> None:
    target, dtype, stages, odd = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "odd"
    for name in KERNELS:
        itemsize = 4 if dtype == "fp32" else 2
        sizes = blocks(name, ROWS, 1001 if odd else 1024, itemsize, target.startswith("hip"))
        options = {option: sizes.pop(option) for option in ("num_warps", "num_stages")}
        if name in ("merge", "delta"):
            sizes, options = {"BLOCK_R": 16, "BLOCK_N": 64, "BLOCK_D": 128}, {}
        elif stages:
            options["num_stages"] = stages
        compiled = triton.compile(source(name, dtype, sizes, odd), target=GPUTarget(*TARGETS[target]), options=options)
        ttgir = compiled.asm["ttgir"]
        print(
            json.dumps(
                {
                    "target": target,
                    "kernel": name,
                    "dtype": dtype,
                    "shared": compiled.metadata.shared,
                    "buffers": [int(each) for each in re.findall(r"local_alloc : \(\) -> !ttg.memdesc<(\d+)x", ttgir)],
                    "waits": [int(each) for each in re.findall(r"async_wait.*?num = (\d+)", ttgir)],
                    "products": len(re.findall(r"wgmma\.mma_async|mma\.sync", compiled.asm.get("ptx", ""))),
                    **usage(compiled.asm),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
