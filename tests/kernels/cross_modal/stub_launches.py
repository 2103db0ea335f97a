"""What reaches the driver, printed as JSON: run in a process of its own, on the stub driver.

Argument: `quick` for one forward and backward of each kind, `all` for streams of shapes as well.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

from tests.kernels.stub import driver

STUB = driver.use()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from affectgpt.kernels import cross_modal_attention  # noqa: E402
from affectgpt.kernels.cross_modal import compiled, ops  # noqa: E402
from affectgpt.kernels.cross_modal import triton as launching  # noqa: E402


def tokens(lengths: tuple[int, ...], batch: int = 2, width: int = 64) -> list[Tensor]:
    return [torch.zeros(batch, 4, length, width, dtype=torch.bfloat16) for length in lengths]


def queries(count: int = 16, width: int = 64) -> Tensor:
    return torch.zeros(1, 4, count, width, dtype=torch.bfloat16)


def arguments() -> list[dict[str, Any]]:
    """Every launch of what follows: its kernel, grid, and whether its leading pointers arrived in order."""
    launches: list[dict[str, Any]] = []
    call = compiled.Launch.__call__

    def record(self: compiled.Launch, read: Any, *passed: Any) -> None:
        pointers: list[int] = []
        for argument in passed:
            if isinstance(argument, float | int) or (
                isinstance(argument, tuple) and isinstance(argument[0], int | tuple)
            ):
                break
            entries = argument if isinstance(argument, tuple) else (argument,)
            pointers += [entry.data_ptr() for entry in entries if entry is not None]
        driver.watch(STUB, len(pointers))
        call(self, read, *passed)
        in_order = driver.arrived(STUB)[: len(pointers)] == pointers
        launches.append({"kernel": self.kernel.__name__, "grid": driver.grid(STUB), "pointers": len(pointers)})
        launches[-1]["in order"] = in_order and len(pointers) > 1
        driver.watch(STUB, 0)

    compiled.Launch.__call__ = record  # type: ignore[method-assign]
    return launches


def refuse_to_wait() -> None:
    """Whatever would make the host wait for the device, and so cannot be captured in a graph, raises."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the host waits for the device")

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero"):
        setattr(torch.Tensor, name, refused)


def quick() -> dict[str, Any]:
    launches = arguments()
    keys, values = tokens((40, 24)), tokens((40, 24))
    masks = [torch.ones(2, 40, dtype=torch.bool), None]
    leaves = [each.requires_grad_() for each in (queries(), *keys, *values)]
    gates = torch.zeros(4, 2, requires_grad=True)
    upstream = torch.zeros(2, 4, 16, 64, dtype=torch.bfloat16)
    refuse_to_wait()
    out, _ = cross_modal_attention(leaves[0], leaves[1:3], leaves[3:], masks=masks, biases=gates, impl="triton")
    torch.autograd.grad(out, [*leaves, gates], upstream)
    return {"one": list(launches), "launches": driver.launches(STUB)}


def variants(lengths: list[tuple[int, ...]], **options: Any) -> dict[str, int]:
    """How many variants of each kernel a stream of shapes compiles."""
    before = set(compiled.VARIANTS)
    with torch.no_grad():
        for sizes in lengths:
            masks = [torch.ones(2, length, dtype=torch.bool) for length in sizes]
            parts = tokens(sizes, **options)
            cross_modal_attention(queries(**options), parts, parts, masks=masks, impl="triton")
    added = [key[1] for key in compiled.VARIANTS if key not in before]
    return {name: added.count(name) for name in sorted(set(added))}


def streams() -> dict[str, Any]:
    results: dict[str, Any] = {}
    random.seed(0)
    for count in (2, 8):
        stream = [tuple(random.randint(0, 400) for _ in range(count)) for _ in range(48)] + [
            (1,) * count,
            (16,) * count,
        ]
        results[f"{count} modalities"] = variants(stream)
    results["width 20"] = variants([(random.randint(1, 99), random.randint(1, 99)) for _ in range(10)], width=20)
    launches = arguments()
    with torch.no_grad():
        long = tokens((900, 570), batch=1)
        cross_modal_attention(queries(), long, long, impl="triton")
    results["long"] = list(launches)
    launches.clear()
    buffer = torch.zeros(1 + 2 * 4 * 40 * 64, dtype=torch.bfloat16)
    before = len(compiled.VARIANTS)
    with torch.no_grad():
        for shift in (0, 1, 0, 1):
            key = buffer[shift : shift + 2 * 4 * 40 * 64].view(2, 4, 40, 64)
            cross_modal_attention(queries(), [key], [key], impl="triton")
    keys = list(compiled.VARIANTS)[before:]
    results["misaligned"] = {
        "aligned": [key[-1] for key in keys],
        "in order": all(each["in order"] for each in launches),
    }
    direct = [each["grid"] for each in launches[:1]]
    launches.clear()
    ops.is_traced = lambda tensors: True  # type: ignore[assignment]
    with torch.no_grad():
        cross_modal_attention(queries(), [key], [key], impl="triton")
    results["operator"] = [each["grid"] for each in launches] == direct
    assert launching._PLANS
    return results


if __name__ == "__main__":
    print(json.dumps(quick() if sys.argv[1] == "quick" else streams()))
