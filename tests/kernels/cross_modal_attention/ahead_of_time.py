"""Compile the kernels for GPUs that are not here and print what they take, one JSON object a line."""

from __future__ import annotations

import json

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from affectgpt.kernels.cross_modal_attention.backward import queries_kernel, tokens_kernel
from affectgpt.kernels.cross_modal_attention.forward import forward_kernel
from affectgpt.kernels.cross_modal_attention.triton import blocks

TARGETS = {"cuda:80": ("cuda", 80, 32), "cuda:90": ("cuda", 90, 32), "hip:gfx942": ("hip", "gfx942", 64)}
M = 2


def source(kernel: triton.JITFunction, kind: str, rows: int, width: int, dtype: str) -> ASTSource:
    sizes = blocks(rows, width)
    constants = {"WIDTH": width, "GROUPS": 1, "KV_HEADS": 8, "M": M, **sizes}
    if "M_PAD" in kernel.arg_names:
        constants["M_PAD"] = 2
    if "INDEX" in kernel.arg_names:
        constants["INDEX"] = 1
    many = {"ks": f"*{dtype}", "vs": f"*{dtype}", "masks": "*i1", "k_strides": ("i32",) * 4, "v_strides": ("i32",) * 4,
            "m_strides": ("i32",) * 2, "lengths": "i32"}  # fmt: skip
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
    return ASTSource(kernel, signature, {(kernel.arg_names.index(name),): each for name, each in constants.items()})


def main() -> None:
    kernels = {"forward": forward_kernel, "queries": queries_kernel, "tokens": tokens_kernel}
    for target, parts in TARGETS.items():
        for rows, width, dtype in ((16, 64, "fp16"), (64, 128, "bf16"), (16, 256, "fp32")):
            for kind, kernel in kernels.items():
                made = triton.compile(
                    source(kernel, kind, rows, width, dtype), target=GPUTarget(*parts),
                    options={"num_warps": 4, "num_stages": 2},
                )  # fmt: skip
                facts = {"target": target, "kernel": kind, "width": width, "dtype": dtype}
                print(json.dumps({**facts, "shared": made.metadata.shared}), flush=True)


if __name__ == "__main__":
    main()
