"""Launching the Triton kernels: what is worked out once per set of shapes (`Plan`), and what is done at every call."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from affectgpt.kernels.cross_modal.backward import backward_kernel
from affectgpt.kernels.cross_modal.blocks import BACKWARD, FORWARD, Block, block, device_facts, splits_for
from affectgpt.kernels.cross_modal.compiled import Launch
from affectgpt.kernels.cross_modal.forward import merge_kernel, split_kernel
from affectgpt.kernels.cross_modal.wide_backward import queries_kernel, tokens_kernel
from affectgpt.kernels.cross_modal.words import pack_kernel

_PLANS: dict[tuple[Any, ...], Plan] = {}
_PACKS: dict[tuple[Any, ...], Launch] = {}
PLANS = 1024


def power_of_two(number: int) -> int:
    """The least power of two that is not below `number`."""
    return 1 << max(0, number - 1).bit_length()


def layout(tensors: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """All of the tensors but their values and places in memory."""
    return tuple(
        None if each is None else (each.shape, each.stride(), each.dtype, each.device, type(each)) for each in tensors
    )


class Plan:
    """Grids, block sizes and integer arguments for one set of shapes, strides and dtypes, and its launches."""

    def __init__(
        self,
        queries: Tensor,
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
        limits: Sequence[Tensor],
        biases: Tensor | None,
    ) -> None:
        self.batch, self.kv_heads = keys[0].shape[:2]
        self.heads, self.queries, self.width = queries.shape[1:]
        self.lengths = tuple(key.shape[2] for key in keys)
        self.groups = self.heads // self.kv_heads
        self.rows = self.groups * self.queries
        of_queries = (0 if queries.shape[0] == 1 else queries.stride(0), *queries.stride()[1:])
        of_keys, of_values = tuple(key.stride() for key in keys), tuple(value.stride() for value in values)
        self.regular = all(
            last == 1 and not any(stride % 16 for stride in others)
            for *others, last in (of_queries, *of_keys, *of_values)
        )
        of_limits = tuple(each.stride(0) for each in limits) or (0,) * len(keys)
        self.of_biases = (0, 0) if biases is None else biases.stride()
        self.integers = (of_queries, of_keys, of_values, of_limits, *self.of_biases, self.lengths)
        self.counts = (self.queries, self.groups, self.kv_heads)
        kind, self.processors = device_facts(queries.device)
        self.tile = block(FORWARD[kind], self.rows, self.width, queries.element_size())
        self.back_tile = block(BACKWARD[kind], self.rows, self.width, queries.element_size())
        self.sizes = {
            "WIDTH": self.width,
            "M": len(keys),
            "M_PAD": power_of_two(len(keys)),
            "BLOCK_D": max(16, power_of_two(self.width)),
        }
        self.row_blocks = -(-self.rows // self.tile.rows)
        self.splits = self._splits(self.row_blocks)
        self.back_splits = self._splits(-(-self.rows // self.back_tile.rows))
        grid = (self.batch * self.kv_heads, self.row_blocks, self.splits)
        self.split = self.step(split_kernel, grid, self.tile, SINGLE=self.splits == 1)
        grid = (self.batch * self.heads * self.queries, 1, 1)
        self.merge = self.step(merge_kernel, grid, Block(1, 1, 4, 2), BLOCK_S=16)
        self.backwards: dict[tuple[bool, ...], list[Launch]] = {}

    def _splits(self, row_blocks: int) -> int:
        """Into how many runs the tokens go when the rows take that many blocks."""
        return splits_for(self.batch * self.kv_heads * row_blocks, sum(self.lengths), self.processors)

    def step(self, kernel: Any, grid: tuple[int, int, int], tile: Block, **more: Any) -> Launch:
        """A launch of `kernel`; the constants are those of its last arguments, by name."""
        known = {**self.sizes, "BLOCK_M": tile.rows, "BLOCK_N": tile.tokens, **more}
        constants = {name: known[name] for name in kernel.arg_names if name in known}
        options = {"num_warps": tile.warps, "num_stages": tile.stages}
        return Launch(kernel, grid, constants, options, self.regular)

    def backward(self, needed: tuple[bool, ...]) -> list[Launch]:
        """One launch when a block holds all rows; else that of the queries, then one per modality."""
        if needed not in self.backwards:
            programs, tile = self.batch * self.kv_heads, self.back_tile
            if self.rows <= tile.rows:
                grids = [(backward_kernel, (programs, self.back_splits, 1))]
            else:
                grids = [(queries_kernel, (programs, -(-self.rows // tile.rows), self.back_splits))]
                grids += [(tokens_kernel, (programs, -(-length // tile.tokens), 1)) for length in self.lengths]
            self.backwards[needed] = [self.step(kernel, grid, tile) for kernel, grid in grids]
        return self.backwards[needed]


def pack(masks: Sequence[Tensor]) -> list[Tensor]:
    """Each mask `[B, T]` bool as words (words.py), in one launch."""
    packed = [mask.new_empty((mask.shape[0], 1 - (-mask.shape[1] // 64)), dtype=torch.int64) for mask in masks]
    batch = masks[0].shape[0]
    if batch:
        lengths, strides = tuple(mask.shape[1] for mask in masks), tuple(mask.stride() for mask in masks)
        key = layout(masks)
        launch = _PACKS.get(key)
        if launch is None:
            constants = {"M": len(masks), "BLOCK_W": 16}
            launch = Launch(pack_kernel, (batch, len(masks), 1), constants, {"num_warps": 4, "num_stages": 1}, False)
            _remember(_PACKS, key, launch)
        with _on(masks[0]):
            launch((), tuple(masks), tuple(packed), strides, lengths)
    return packed


def launch_forward(
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    limits: Sequence[Tensor],
    biases: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`out [B, H, Q, d]`, `mass [B, H, Q, M]` float32, the log-sum-exp `[B, H, Q]` float32 (+inf: empty row).

    `limits[m]`: what [pack][] made of a mask, or lengths `[B]`; an empty tensor for neither; `[]` when none has one.
    """
    batch, (heads, count, width), modalities = keys[0].shape[0], queries.shape[1:], len(keys)
    out = queries.new_empty((batch, heads, count, width))
    mass = queries.new_empty((batch, heads, count, modalities), dtype=torch.float32)
    lse = queries.new_empty((batch, heads, count), dtype=torch.float32)
    if batch == 0:
        return out, mass, lse
    plan = _plan(queries, keys, values, limits, biases)
    pointers = _pointers(queries, keys, values, limits, biases)
    splits, numbers = plan.splits, (scale, *plan.integers, *plan.counts, plan.splits)
    with _on(queries):
        if splits == 1:
            plan.split((queries, *keys, *values, out), *pointers, out, mass, lse, *numbers)
        else:
            part = (batch, splits, heads, count)
            part_out = queries.new_empty((*part, width), dtype=torch.float32)
            part_mass = queries.new_empty((*part, modalities), dtype=torch.float32)
            part_top = queries.new_empty(part, dtype=torch.float32)
            plan.split((queries, *keys, *values, part_out), *pointers, part_out, part_mass, part_top, *numbers)
            plan.merge((part_out, out), part_out, part_mass, part_top, out, mass, lse, splits, heads * count)
    return out, mass, lse


def launch_backward(
    grad_out: Tensor,
    grad_mass: Tensor,
    queries: Tensor,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    limits: Sequence[Tensor],
    biases: Tensor | None,
    out: Tensor,
    mass: Tensor,
    lse: Tensor,
    scale: float,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of queries, biases, all keys, all values, in this order; None for one not `needed`."""
    count, batch = len(keys), keys[0].shape[0]
    shaped = (queries, queries if biases is None else biases, *keys, *values)
    if batch == 0:
        return [each.new_zeros(each.shape) if want else None for each, want in zip(shaped, needed, strict=True)]
    grad_out, grad_mass = grad_out.contiguous(), grad_mass.contiguous()
    plan = _plan(queries, keys, values, limits, biases)
    pointers = _pointers(queries, keys, values, limits, biases)
    tokens = [each.new_empty(each.shape) if want else None for each, want in zip(shaped[2:], needed[2:], strict=True)]
    part, splits = (batch, plan.back_splits, plan.heads, plan.queries), plan.back_splits
    of_queries = queries.new_empty((*part, plan.width), dtype=torch.float32) if needed[0] else None
    of_gates = queries.new_empty((*part, count), dtype=torch.float32) if needed[1] else None
    read = (queries, *keys, *values, grad_out)
    first, *others = plan.backward(tuple(needed))
    numbers = (scale, *plan.integers, *plan.counts)
    with _on(queries):
        if not others:
            first(
                (*read, out, of_queries, *tokens),
                *(*pointers, out, mass, lse, grad_out, grad_mass, of_queries, of_gates),
                *(tuple(tokens[:count]), tuple(tokens[count:]), *numbers, splits),
            )
        else:
            delta = (grad_out.float() * out.float()).sum(dim=-1) + (grad_mass * mass).sum(dim=-1)
            upstream = (grad_out, grad_mass, delta, lse)
            if needed[0] or needed[1]:
                first((*read, of_queries), *pointers, *upstream, of_queries, of_gates, *numbers, splits)
            integers: Any = plan.integers
            of_strides, _, _, of_limits, *of_biases, lengths = integers
            for index, launch in enumerate(others):
                d_key, d_value = tokens[index], tokens[count + index]
                if lengths[index] and (d_key is not None or d_value is not None):
                    launch(
                        (*read, d_key, d_value),
                        *(queries, keys[index], values[index], pointers[3][index], pointers[4][index], biases),
                        *(*upstream, d_key, d_value, scale, of_strides, keys[index].stride(), values[index].stride()),
                        *(of_limits[index], *of_biases, lengths[index], *plan.counts, index),
                    )
    gradients: list[Tensor | None] = [None, None, *tokens]
    if of_queries is not None:
        # In a fixed order: splits, and clips when they share the queries.
        summed = of_queries.sum(dim=(0, 1) if queries.shape[0] == 1 else 1)
        gradients[0] = summed.to(queries.dtype).view(queries.shape)
    if of_gates is not None and biases is not None:
        gradients[1] = of_gates.sum(dim=(0, 1, 3)).to(biases.dtype)
    return gradients


def _plan(
    queries: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], limits: Sequence[Tensor], biases: Tensor | None
) -> Plan:
    key = len(keys), *layout((queries, *keys, *values, *limits, biases))
    plan = _PLANS.get(key)
    if plan is None:
        plan = Plan(queries, keys, values, limits, biases)
        _remember(_PLANS, key, plan)
    return plan


def _remember(table: dict[tuple[Any, ...], Any], key: tuple[Any, ...], value: object) -> None:
    """Keep `value`, and let the oldest go so that ragged shapes cannot fill the memory."""
    if len(table) >= PLANS:
        del table[next(iter(table))]
    table[key] = value


def _pointers(
    queries: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], limits: Sequence[Tensor], biases: Tensor | None
) -> tuple[Any, ...]:
    """The kernels' first arguments; an empty tensor in `limits` is None."""
    if not limits:
        none = (None,) * len(keys)
        return queries, tuple(keys), tuple(values), none, none, biases
    lens = tuple(each if each.numel() else None for each in limits)
    words = tuple(each if each.ndim == 2 else None for each in limits)
    return queries, tuple(keys), tuple(values), lens, words, biases


def _on(queries: Tensor) -> Any:
    """Triton launches on the current device."""
    if queries.device.type != "cuda" or queries.device.index == torch.cuda.current_device():
        return contextlib.nullcontext()
    return torch.cuda.device_of(queries)
