"""Compile the kernels for GPUs that are not here and print what they take, one JSON object a line.

Arguments: a target, a shape, a kind of mask, a kernel, numbers of stages, such as `cuda:90 16x64xbf16 words
split_kernel 3,2`; what is left out means all, and the stages launched with. What is compiled is what the launching code
would have launched on such a device: its launches are recorded and not run.
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

import torch
import triton
from triton.backends.compiler import GPUTarget

from affectgpt.kernels.cross_modal import compiled
from affectgpt.kernels.cross_modal import triton as launching

TARGETS = {"cuda:80": ("cuda", 80, 32), "cuda:90": ("cuda", 90, 32), "hip:gfx942": ("hip", "gfx942", 64)}
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
SHAPES = (
    *("16x64xbf16", "64x64xbf16", "128x64xbf16", "16x128xbf16", "64x128xbf16", "128x128xbf16", "16x256xbf16"),
    *("64x256xbf16", "64x64xfp16", "16x64xfp32", "64x64xfp32", "16x128xfp32", "16x256xfp32", "64x256xfp32"),
)
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def launches(target: str, rows: int, width: int, dtype: str, limits: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """All launches of a forward and a backward: two modalities, `limits` none, lengths or words."""
    recorded: list[tuple[Any, tuple[Any, ...]]] = []
    compiled.Launch.__call__ = lambda self, read, *arguments: recorded.append((self, arguments))  # type: ignore[method-assign]
    launching.device_facts = lambda device: ("small" if target.startswith("hip") else target, 132)
    launching._PLANS.clear()

    def values(*shape: int) -> torch.Tensor:
        return torch.zeros(*shape, dtype=DTYPES[dtype])

    keys, gates = [values(1, 2, 640, width), values(1, 2, 320, width)], values(2, 2)
    masks = [torch.ones(1, key.shape[2], dtype=torch.bool) for key in keys]
    chosen = {"none": [], "lengths": [torch.ones(1, dtype=torch.int64)] * 2, "words": launching.pack(masks)}[limits]
    queries = values(1, 2, rows, width)
    out, mass, lse = launching.launch_forward(queries, keys, keys, chosen, gates, 0.125)
    arguments = (out, mass, queries, keys, keys, chosen, gates, out, mass, lse, 0.125, (True,) * 6)
    launching.launch_backward(*arguments)
    return recorded


def usage(assembly: Mapping[str, Any]) -> dict[str, Any]:
    """Registers a thread takes, and what of them is spilled (bytes of stack, or vector registers); None: unreadable."""
    if "amdgcn" in assembly:
        counts = {
            name: re.search(rf"\.{name}:\s+(\d+)", assembly["amdgcn"]) for name in ("vgpr_count", "vgpr_spill_count")
        }
        return {
            short: int(match[1]) if match else None
            for short, match in zip(("registers", "spilled"), counts.values(), strict=True)
        }
    if not (TOOLS / "cuobjdump").is_file():
        return {"registers": None, "spilled": None}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(assembly["cubin"])
        file.flush()
        printed = subprocess.run([TOOLS / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True).stdout
        listing = subprocess.run([TOOLS / "nvdisasm", "-c", file.name], capture_output=True, text=True).stdout
    registers, stack = re.search(r"REG:(\d+)", printed), re.search(r"STACK:(\d+)", printed)
    return {
        "registers": int(registers[1]) if registers else None,
        "spilled": int(stack[1]) if stack else None,
        "loop": hot_loop(listing),
    }


def hot_loop(listing: str) -> dict[str, int]:
    """Instructions of the longest loop that holds a matrix product, counted by name."""
    labels: dict[str, int] = {}
    code: list[str] = []
    loops: list[list[str]] = []
    for line in listing.splitlines():
        if label := re.match(r"^\s*\.(L_x_\d+):", line):
            labels[label[1]] = len(code)
        elif instruction := re.search(r"/\*[0-9a-f]{4,5}\*/\s+(.*?);", line):
            code.append(re.sub(r"^@!?U?P\w+\s+", "", instruction[1]))
            back = re.search(r"BRA.*\(?\.(L_x_\d+)", instruction[1])
            if back and labels.get(back[1], len(code)) < len(code) - 1:
                loops.append(code[labels[back[1]] :])
    loops = [loop for loop in loops if any("MMA" in each or "FFMA" in each for each in loop)]
    names = [each.split()[0].split(".")[0] for each in (max(loops, key=len) if loops else [])]
    counted = ("LDSM", "LDG", "LDGSTS", "HMMA", "HGMMA")
    return {"all": len(names), **{name: names.count(name) for name in counted}}


def facts(unit: Any) -> dict[str, Any]:
    """What a compiled kernel takes, and how its loop is pipelined."""
    layout = unit.asm["ttgir"]
    buffers = [int(each) for each in re.findall(r"local_alloc : \(\) -> !ttg.memdesc<(\d+)x\d+x\d+x", layout)]
    waits = [int(each) for each in re.findall(r"async_wait.*\{num = (\d+)", layout)]
    return {"shared": unit.metadata.shared, "buffers": buffers, "waits": waits, **usage(unit.asm)}


def main() -> None:
    target, *rest = sys.argv[1:] or [""]
    shape, kind, kernel, stages = [*rest, "", "", "", ""][:4]
    compiled.INTERPRETED = False
    hashes: set[str] = set()
    for device in [target] if target else TARGETS:
        for size in [shape] if shape else SHAPES:
            rows, width, dtype = size.split("x")
            for limits in [kind] if kind else ["lengths", "words"]:
                for launch, arguments in launches(device, int(rows), int(width), dtype, limits):
                    if kernel not in ("", launch.kernel.__name__):
                        continue
                    source = compiled.source(launch.kernel, arguments, launch.constants, launch.regular)
                    if f"{device} {source.hash()}" in hashes:
                        continue
                    hashes.add(f"{device} {source.hash()}")
                    case = {"target": device, "shape": size, "limits": limits, "kernel": launch.kernel.__name__}
                    for number in stages.split(",") if stages else [launch.options["num_stages"]]:
                        options = {**launch.options, "num_stages": int(number)}
                        unit = triton.compile(source, target=GPUTarget(*TARGETS[device]), options=options)
                        print(json.dumps({**case, **facts(unit)}), flush=True)


if __name__ == "__main__":
    main()
