"""Masks as the kernels read them: bits in words, and how many leading tokens hold every valid one.

`packed [B, 1 + ceil(T / 64)]` int64: column 0 is one more than the place of the last valid token (0: there is none),
bit i of column 1 + w says whether token 64 w + i counts. So padding at the end is never read, whoever made the mask,
nothing is read back by the host, and no load of keys or values waits for the mask.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pack_kernel(masks, packed, strides, lengths, M: tl.constexpr, BLOCK_W: tl.constexpr):
    """A program packs one clip's mask of one modality, BLOCK_W words at a time."""
    batch = tl.program_id(0).to(tl.int64)
    bits = tl.arange(0, 64)
    rows = tl.arange(0, BLOCK_W)
    for m in tl.static_range(M):
        if tl.program_id(1) == m:
            mask_b, mask_t = strides[m]
            length = lengths[m]
            count = tl.cdiv(length, 64)
            out = packed[m] + batch * (1 + count)
            last = tl.zeros([BLOCK_W, 64], tl.int32)
            for start in range(0, count, BLOCK_W):
                token = (start + rows)[:, None] * 64 + bits[None, :]
                at = masks[m] + batch * mask_b + token.to(tl.int64) * mask_t
                valid = tl.load(at, mask=token < length, other=0) != 0
                last = tl.maximum(last, tl.where(valid, token + 1, 0))
                # Each bit is set once, so the sum is an or; bit 63 is the sign.
                word = tl.sum(valid.to(tl.int64) << bits[None, :].to(tl.int64), 1)
                tl.store(out + 1 + start + rows, word, mask=start + rows < count)
            tl.store(out, tl.max(tl.max(last, 1), 0).to(tl.int64))


@triton.jit
def bound(lens, stride, batch, length):
    """How many leading tokens of the clip are walked: all `length`, or what column 0 (or a length) says."""
    real = length
    if lens is not None:
        # In 64 bits, for a length may be anything; below 0 it is 0.
        wide = tl.maximum(tl.load(lens + batch * stride).to(tl.int64), 0)
        real = tl.minimum(wide, tl.cast(length, tl.int64)).to(tl.int32)
    return real


@triton.jit
def valid_tokens(words, stride, batch, start, inner, inside):
    """Which tokens of the block at `start` count; the block lies in one word."""
    word = tl.load(words + batch * stride + 1 + start // 64)
    return inside & (((word >> (start % 64 + inner).to(tl.int64)) & 1) != 0)
