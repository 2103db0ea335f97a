"""Compile the kernels for GPUs that are not here and print what they take, one JSON object a line.

Arguments: a target and shapes, such as `cuda:90 16x64xfp16`; all of them without.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from affectgpt.kernels.cross_modal.backward import queries_kernel, tokens_kernel
from affectgpt.kernels.cross_modal.forward import forward_kernel
from affectgpt.kernels.cross_modal.triton import blocks

TARGETS = {"cuda:80": ("cuda", 80, 32), "cuda:90": ("cuda", 90, 32), "hip:gfx942": ("hip", "gfx942", 64)}
SHAPES = {
    f"{rows}x{width}x{dtype}": (rows, width, dtype)
    for rows, width, dtype in ((16, 64, "fp16"), (64, 128, "bf16"), (64, 64, "fp32"), (16, 256, "fp32"))
}
M = 2


def sizes_of(rows: int, width: int, dtype: str) -> tuple[dict[str, int], dict[str, int]]:
    """Block sizes, and the compiler's options."""
    sizes = blocks(rows, width, 4 if dtype == "fp32" else 2)
    options = {name: sizes.pop(name) for name in ("num_warps", "num_stages")}
    return sizes, options


def source(kernel: triton.JITFunction, kind: str, rows: int, width: int, dtype: str) -> ASTSource:
    sizes = sizes_of(rows, width, dtype)[0]
    constants = {"WIDTH": width, "GROUPS": 1, "KV_HEADS": 8, "M": M, **sizes}
    if "M_PAD" in kernel.arg_names:
        constants["M_PAD"] = 2
    if "INDEX" in kernel.arg_names:
        constants["INDEX"] = 1
    many = {
        "ks": f"*{dtype}",
        "vs": f"*{dtype}",
        "masks": "*i1",
        "k_strides": ("i32",) * 4,
        "v_strides": ("i32",) * 4,
        "m_strides": ("i32",) * 2,
        "lengths": "i32",
    }
    wide = {"mass", "lse", "delta", "d_mass", "d_q", "d_bias"}
    signature: dict[str, object] = {}
    for name in kernel.arg_names:
        if name in constants:
            signature[name] = "constexpr"
        elif name in many:
            signature[name] = (many[name],) * M
        elif name in wide:
            signature[name] = "*fp32"
        elif name in ("q", "k", "v", "bias", "out", "d_out", "d_k", "d_v"):
            signature[name] = f"*{dtype}"
        elif name == "mask":
            signature[name] = "*i1"
        else:
            signature[name] = "fp32" if name == "scale" else "i32"
    # What a launch with contiguous tensors specialises on: the last stride is 1, pointers and the others divide by 16.
    aligned = [["tt.divisibility", 16]]
    values: dict[tuple[int, ...], int] = {(kernel.arg_names.index(name),): each for name, each in constants.items()}
    attributes: dict[tuple[int, ...], object] = {}
    for index, name in enumerate(kernel.arg_names):
        if name in ("k_strides", "v_strides"):
            signature[name] = (("i32", "i32", "i32", "constexpr"),) * M
            values |= {(index, m, 3): 1 for m in range(M)}
            attributes |= {(index, m, place): aligned for m in range(M) for place in range(3)}
        elif name in ("ks", "vs"):
            attributes |= {(index, m): aligned for m in range(M)}
        elif name in ("q_d", "k_d", "v_d"):
            signature[name] = "constexpr"
            values[(index,)] = 1
        elif str(signature[name]).startswith("*") or re.fullmatch("[qkv]_[bhqt]", name):
            attributes[(index,)] = aligned
    return ASTSource(kernel, signature, values, attributes)


def usage(assembly: Mapping[str, Any]) -> dict[str, int | None]:
    """Registers a thread takes, and what of them is spilled (bytes of stack, or vector registers); None: unreadable."""
    if "amdgcn" in assembly:
        usage = {
            name: re.search(rf"\.{name}:\s+(\d+)", assembly["amdgcn"]) for name in ("vgpr_count", "vgpr_spill_count")
        }
        return {
            short: int(match[1]) if match else None
            for short, match in zip(("registers", "spilled"), usage.values(), strict=True)
        }
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.is_file():
        return {"registers": None, "spilled": None}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(assembly["cubin"])
        file.flush()
        printed = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True).stdout
    registers, stack = re.search(r"REG:(\d+)", printed), re.search(r"STACK:(\d+)", printed)
    return {"registers": int(registers[1]) if registers else None, "spilled": int(stack[1]) if stack else None}


def main() -> None:
    kernels = {"forward": forward_kernel, "queries": queries_kernel, "tokens": tokens_kernel}
    targets, shapes = sys.argv[1:2] or TARGETS, sys.argv[2:] or SHAPES
    for target in targets:
        parts = TARGETS[target]
        for shape in shapes:
            rows, width, dtype = SHAPES[shape]
            for kind, kernel in kernels.items():
                compiled = triton.compile(
                    source(kernel, kind, rows, width, dtype),
                    target=GPUTarget(*parts),
                    options=sizes_of(rows, width, dtype)[1],
                )
                facts = {"target": target, "kernel": kind, "width": width, "dtype": dtype}
                print(json.dumps({**facts, "shared": compiled.metadata.shared, **usage(compiled.asm)}), flush=True)


if __name__ == "__main__":
    main()
