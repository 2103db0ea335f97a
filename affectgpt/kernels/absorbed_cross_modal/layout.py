"""Where each modality of a call lies: in the blocks of tokens, and in the columns of the contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

BLOCK_T = 64
"""Tokens a block; what passes between the kernels is counted in it."""


@dataclass(frozen=True)
class Part:
    """One modality of a call: its tensors (None: not there), its first block, its columns in the contexts."""

    index: int
    rows: Tensor
    tokens: Tensor
    offset: Tensor | None
    positions: Tensor | None
    mask: Tensor | None
    lengths: Tensor | None
    first: int
    column: int
    extra_column: int

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    @property
    def width(self) -> int:
        return self.tokens.shape[2]

    @property
    def blocks(self) -> int:
        return -(-self.length // BLOCK_T)


@dataclass(frozen=True)
class Layout:
    """B, R, the columns of the contexts, the blocks of tokens of all modalities, and the modalities."""

    batch: int
    rows: int
    columns: int
    blocks: int
    parts: tuple[Part, ...]

    def of_scores(self, part: Part, gates: Tensor | None) -> dict[str, Any]:
        """The arguments that the two kernels over rows and tokens share."""
        offset = part.offset
        return {
            "a": part.rows,
            "x": part.tokens,
            "offset": offset,
            "mask": part.mask,
            "lengths": part.lengths,
            "gates": gates,
            "a_b": 0 if part.rows.shape[0] == 1 else self.rows * part.width,
            "offset_b": 0 if offset is None or offset.shape[0] == 1 else offset.stride(0),
            "first": part.first,
            "TOKENS": part.length,
            "BLOCKS": self.blocks,
            "ROWS": self.rows,
            "WIDTH": part.width,
            "QUERIES": 1 if gates is None else self.rows // gates.shape[0],
            "M": len(self.parts),
            "index": part.index,
            "PER_TOKEN": offset is not None and offset.shape[2] > 1,
        }


def _columns_of(tokens: Sequence[Tensor], positions: Sequence[Tensor]) -> tuple[list[int], list[int], int]:
    """Where in the contexts each modality's columns begin, and those of its positions; how many there are in all."""
    starts, extras, total = [], [], 0
    for x in tokens:
        starts.append(total)
        total += x.shape[2]
    for position in positions:
        extras.append(total)
        total += position.shape[1] if position.numel() else 0
    return starts, extras or [0] * len(tokens), total


def make_layout(
    rows: Sequence[Tensor],
    tokens: Sequence[Tensor],
    offsets: Sequence[Tensor],
    positions: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Sequence[Tensor],
) -> Layout:
    """The layout of a call, its tensors with contiguous memory. Raises ValueError for more than 32 bits can count."""
    starts, extras, columns = _columns_of(tokens, positions)
    count, first, parts = rows[0].shape[1], 0, []
    for index, x in enumerate(tokens):
        offset, position, mask, length = (
            _whole(group[index]) if group else None for group in (offsets, positions, masks, lengths)
        )
        whole_rows, whole_tokens = rows[index].contiguous(), x.contiguous()
        parts.append(
            Part(index, whole_rows, whole_tokens, offset, position, mask, length, first, starts[index], extras[index])
        )
        first += parts[-1].blocks
    _refuse_long(count, columns, first * BLOCK_T)
    return Layout(tokens[0].shape[0], count, columns, first, tuple(parts))


def _refuse_long(rows: int, columns: int, padded: int) -> None:
    # Places inside a clip are counted in 32 bits.
    if rows * max(columns, padded) >= 2**31:
        raise ValueError(
            f"absorbed_cross_modal_attention: {rows} rows (heads times queries) of {padded} tokens and {columns} "
            f"columns are too many for the Triton kernels, expected a product below 2^31; take backend='torch'"
        )


def _whole(tensor: Tensor) -> Tensor | None:
    """`tensor` with contiguous memory; None for an empty one, which stands for none."""
    return tensor.contiguous() if tensor.numel() else None
