"""Launching a kernel directly: compiled once per signature, then called without Triton's binding of arguments.

The signature is worked out here from the arguments themselves and is also the key under which the compiled kernel is
kept, so that a kernel never meets arguments it was not compiled for. Unlike Triton's own it takes no note of lengths
and counts: a stream of ragged batches is one variant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import triton
from torch import Tensor
from triton.compiler import ASTSource

INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"
_POINTERS = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float64: "*fp64",
    torch.bool: "*i1",
    torch.uint8: "*u8",
    torch.int8: "*i8",
    torch.int16: "*i16",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint16: "*u16",
    torch.uint32: "*u32",
    torch.uint64: "*u64",
}
# Four strides (clip, head, token or query, value) in elements, or one such tuple per modality.
STRIDES = ("q_strides", "k_strides", "v_strides")
# Pointers to rows of `d` values, read and written many at a time: `read` of a launch holds them all.
ROWS = ("q", "k", "v", "ks", "vs", "out", "part_out", "d_out", "d_q", "d_k", "d_v", "d_ks", "d_vs")
_DIVISIBLE = [["tt.divisibility", 16]]
# Every variant compiled in this process, by device, kernel, signature, constants and options.
VARIANTS: dict[tuple[Any, ...], Any] = {}


class Launch:
    """`kernel` on a grid, with constants and compiler options; called with everything else the kernel takes.

    Arguments may differ from call to call in values, addresses and numbers, not in types. `regular`: all strides divide
    by 16 elements but those of the last dimension, which are 1.
    """

    def __init__(
        self,
        kernel: Any,
        grid: tuple[int, int, int],
        constants: Mapping[str, Any],
        options: Mapping[str, int],
        regular: bool,
    ) -> None:
        self.kernel, self.grid, self.constants, self.options, self.regular = kernel, grid, constants, options, regular
        self._fixed = tuple(constants.values())
        self._run: dict[bool, Callable[..., None]] = {}

    def __call__(self, read: Sequence[Tensor | None], *arguments: Any) -> None:
        """Launch; `read`: the tensors among the arguments that [ROWS][] names."""
        if INTERPRETED:
            self.kernel[self.grid](*arguments, **self.constants)
            return
        aligned = self.regular
        if aligned:
            addresses = 0
            for tensor in read:
                if tensor is not None:
                    addresses |= tensor.data_ptr()
            aligned = addresses % 16 == 0
        run = self._run.get(aligned)
        if run is None:
            run = self._run[aligned] = self._compiled(arguments, aligned)[self.grid]
        run(*arguments, *self._fixed)

    def _compiled(self, arguments: tuple[Any, ...], aligned: bool) -> Any:
        signature = tuple(map(_type, self.kernel.arg_names, arguments))
        # A compiled kernel is loaded into the memory of one device.
        device = triton.runtime.driver.active.get_current_device()
        settings = (tuple(self.constants.items()), tuple(self.options.items()))
        key = (device, self.kernel.__name__, signature, *settings, aligned)
        if key not in VARIANTS:
            unit = source(self.kernel, arguments, self.constants, aligned)
            VARIANTS[key] = triton.compile(unit, options=dict(self.options))
        return VARIANTS[key]


def source(kernel: Any, arguments: tuple[Any, ...], constants: Mapping[str, Any], aligned: bool) -> ASTSource:
    """`kernel` with the types of `arguments` and the values of `constants`, ready to be compiled for any target."""
    names = kernel.arg_names
    assert list(names[len(arguments) :]) == list(constants), "constants come last, in the kernel's order"
    signature: dict[str, Any] = {}
    values: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    for index, (name, argument) in enumerate(zip(names, arguments, strict=False)):
        signature[name] = _type(name, argument)
        for path, kind, leaf in _leaves((index,), signature[name], argument):
            if kind == "constexpr":
                values[path] = leaf
            elif aligned and (name in STRIDES or name in ROWS):
                attributes[path] = _DIVISIBLE
    for name, value in constants.items():
        signature[name], values[(names.index(name),)] = "constexpr", value
    return ASTSource(kernel, signature, values, attributes)


def _type(name: str, value: Any) -> Any:
    """Triton's name of a type; of a tuple, the tuple of its entries' types."""
    if isinstance(value, Tensor):
        return _POINTERS[value.dtype]
    if value is None:
        return "constexpr"
    if isinstance(value, float):
        return "fp32"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    if name in STRIDES and isinstance(value[-1], int):
        # Inside a block offsets are 32 bits wide, 256 values and 64 tokens far at most; a last stride of 1 is compiled
        # in, so that values next to each other are read many at a time.
        token, entry = ("i32" if each < 2**22 else "i64" for each in value[2:])
        return "i64", "i64", token, "constexpr" if value[-1] == 1 else entry
    return tuple(_type(name, each) for each in value)


def _leaves(path: tuple[int, ...], kind: Any, value: Any) -> Iterator[tuple[tuple[int, ...], str, Any]]:
    if isinstance(kind, tuple):
        for index, (inner, entry) in enumerate(zip(kind, value, strict=True)):
            yield from _leaves((*path, index), inner, entry)
    else:
        yield path, kind, value
