"""Block sizes by kind of device, as data; and into how many runs the tokens of a clip are split."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch


class Block(NamedTuple):
    """A tile of `rows` query rows by `tokens`, and how a kernel of such tiles is compiled."""

    rows: int
    tokens: int
    warps: int
    stages: int


# (bytes of a value, head width up to, rows) -> tile. Half types have tensor cores; float32 is multiplied exactly
# (`ieee`), without them, which takes many registers and leaves no room for stages.
Table = dict[tuple[int, int, int], Block]
_FLOAT32: Table = {
    (4, 64, 16): Block(16, 32, 4, 1),
    (4, 128, 16): Block(16, 16, 4, 1),
    (4, 256, 16): Block(16, 16, 4, 1),
}
# Three stages are at least two buffers of keys and values: while one block is worked on, the next is copied.
_LARGE_FORWARD: Table = {
    (2, 64, 16): Block(16, 64, 4, 3),
    (2, 64, 64): Block(64, 64, 4, 3),
    (2, 128, 16): Block(16, 64, 4, 3),
    (2, 128, 64): Block(64, 64, 8, 3),
    (2, 256, 16): Block(16, 32, 4, 3),
    **_FLOAT32,
}
_LARGE_BACKWARD: Table = {
    (2, 64, 16): Block(16, 64, 4, 3),
    (2, 64, 64): Block(64, 32, 4, 3),
    (2, 128, 16): Block(16, 32, 4, 3),
    (2, 128, 64): Block(64, 32, 8, 3),
    (2, 256, 16): Block(16, 32, 8, 3),
    **_FLOAT32,
}
# 64 KB of shared memory have no room for a third stage.
_SMALL_FORWARD: Table = {
    (2, 64, 16): Block(16, 64, 4, 2),
    (2, 64, 64): Block(64, 64, 4, 2),
    (2, 128, 16): Block(16, 64, 4, 2),
    (2, 128, 64): Block(64, 32, 8, 2),
    (2, 256, 16): Block(16, 32, 4, 2),
    **_FLOAT32,
}
_SMALL_BACKWARD: Table = {
    (2, 64, 16): Block(16, 64, 4, 2),
    (2, 64, 64): Block(64, 32, 4, 2),
    (2, 128, 16): Block(16, 32, 4, 2),
    (2, 128, 64): Block(64, 32, 8, 2),
    (2, 256, 16): Block(16, 32, 8, 2),
    **_FLOAT32,
}
FORWARD = {"cuda:90": _LARGE_FORWARD, "cuda:80": _LARGE_FORWARD, "small": _SMALL_FORWARD}
# More rows than the greatest tile here take two kernels.
BACKWARD = {"cuda:90": _LARGE_BACKWARD, "cuda:80": _LARGE_BACKWARD, "small": _SMALL_BACKWARD}
# Shared memory of a kind in bytes; the first that a device has at least is its kind.
SHARED = {"cuda:90": 227 * 1024, "cuda:80": 163 * 1024, "small": 64 * 1024}


def block(table: Table, rows: int, width: int, itemsize: int) -> Block:
    """The tile for `rows` query rows per key head of `width` values of `itemsize` bytes: the least that holds them."""
    column = min(most for size, most, _ in table if size == itemsize and width <= most)
    tiles = sorted(tile for (size, most, _), tile in table.items() if (size, most) == (itemsize, column))
    return next((tile for tile in tiles if tile.rows >= rows), tiles[-1])


@cache
def device_facts(device: torch.device) -> tuple[str, int]:
    """Kind and multiprocessors of a GPU; the interpreter, which has neither, stands for a large one."""
    if device.type != "cuda":
        return "cuda:90", 132
    properties = torch.cuda.get_device_properties(device)
    shared = getattr(properties, "shared_memory_per_block_optin", 0) or properties.shared_memory_per_block
    if torch.version.hip is not None:
        return "small", properties.multi_processor_count
    kind = next((kind for kind, least in SHARED.items() if shared >= least), "small")
    return kind, properties.multi_processor_count


def splits_for(programs: int, tokens: int, processors: int) -> int:
    """Enough runs for two programs a multiprocessor, none shorter than 128 tokens on average.

    From shapes and device alone, so that runs repeat to the bit. Another batch size may give another number, and then
    results agree to rounding only.
    """
    return max(1, min(-(-2 * processors // programs), -(-tokens // 128)))
