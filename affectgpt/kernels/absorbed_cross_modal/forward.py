"""The forward kernels: weights of every block of tokens, their merge over all modalities, the weighted tokens.

Per modality m: rows `a [B or 1, R, D_m]` and tokens `x [B, T_m, D_m]`, contiguous. Blocks of BLOCK_T tokens are counted
through the modalities: `first` is the number of a modality's first one, BLOCKS that of all. Between the kernels:

- `weights [B, R, BLOCKS * BLOCK_T]` in the dtype of x: 2^(score - greatest score of the block); 0 for a token that does
  not count.
- `tops`, `sums` `[B, BLOCKS, R]` float32: the block's greatest score in base 2 (-inf: nothing to attend) and its sum of
  weights.
"""

from __future__ import annotations

import triton
import triton.language as tl

# What depends on the number of tokens: specialised on, nearly every batch would compile anew.
UNSPECIALIZED = ("TOKENS", "BLOCKS", "first", "offset_b", "index")


@triton.jit(do_not_specialize=UNSPECIALIZED)
def scores_kernel(
    a,
    x,
    offset,
    mask,
    lengths,
    gates,
    weights,
    tops,
    sums,
    a_b,
    offset_b,
    first,
    TOKENS,
    BLOCKS,
    ROWS,
    WIDTH,
    QUERIES,
    M,
    index,
    PER_TOKEN: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program: BLOCK_R rows, one block of tokens; programs that read the same tokens are neighbours in the grid."""
    row_blocks = tl.cdiv(ROWS, BLOCK_R)
    rows = tl.program_id(0) % row_blocks * BLOCK_R + tl.arange(0, BLOCK_R)
    row_ok = rows < ROWS
    block = tl.program_id(0) // row_blocks % tl.cdiv(TOKENS, BLOCK_T)
    batch = (tl.program_id(0) // row_blocks // tl.cdiv(TOKENS, BLOCK_T)).to(tl.int64)
    inner = tl.arange(0, BLOCK_T)
    tokens = block * BLOCK_T + inner
    dims = tl.arange(0, BLOCK_D)
    real = TOKENS
    bound = WIDTH
    if lengths is not None:
        real = tl.minimum(tl.load(lengths + batch).to(tl.int32), TOKENS)
        # A block of padding multiplies nothing.
        bound = tl.where(block * BLOCK_T < real, WIDTH, 0)
    valid = tokens < real
    a_tile = a + batch * a_b + (rows[:, None] * WIDTH + dims[None, :])
    x_tile = x + (batch * TOKENS + block * BLOCK_T) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
    scores = tl.zeros([BLOCK_R, BLOCK_T], tl.float32)
    for start in range(0, bound, BLOCK_D):
        if WHOLE:
            row_tile = tl.load(a_tile + start, mask=row_ok[:, None], other=0.0)
            right = tl.load(x_tile + start, mask=valid[:, None], other=0.0)
        else:
            dim_ok = start + dims < WIDTH
            row_tile = tl.load(a_tile + start, mask=row_ok[:, None] & dim_ok[None, :], other=0.0)
            right = tl.load(x_tile + start, mask=valid[:, None] & dim_ok[None, :], other=0.0)
        scores = tl.dot(row_tile, tl.trans(right), scores, input_precision="ieee")
    if offset is not None:
        if PER_TOKEN:
            spot = offset + batch * offset_b + (rows[:, None] * TOKENS + tokens[None, :])
            scores += tl.load(spot, mask=row_ok[:, None] & valid[None, :], other=0.0).to(tl.float32)
        else:
            scores += tl.load(offset + batch * offset_b + rows, mask=row_ok, other=0.0).to(tl.float32)[:, None]
    if gates is not None:
        scores += tl.load(gates + rows // QUERIES * M + index, mask=row_ok, other=0.0).to(tl.float32)[:, None]
    if mask is not None:
        valid = valid & (tl.load(mask + batch * TOKENS + tokens, mask=valid, other=0) != 0)
    scores = tl.where(valid[None, :], scores * 1.4426950408889634, float("-inf"))
    top = tl.max(scores, 1)
    # A block may hold no token that counts, and a gate may be -inf: -inf minus -inf would be NaN.
    powers = tl.exp2(scores - tl.where(top == float("-inf"), 0.0, top)[:, None])
    columns = (first + block) * BLOCK_T + inner
    stored = weights + batch * ROWS * BLOCKS * BLOCK_T + (rows[:, None] * (BLOCKS * BLOCK_T) + columns[None, :])
    tl.store(stored, powers.to(weights.dtype.element_ty), mask=row_ok[:, None])
    spot = (batch * BLOCKS + first + block) * ROWS + rows
    tl.store(tops + spot, top, mask=row_ok)
    tl.store(sums + spot, tl.sum(powers, 1), mask=row_ok)


@triton.jit(do_not_specialize=("BLOCKS", "end_0", "end_1", "end_2", "end_3", "end_4", "end_5", "end_6", "end_7"))
def merge_kernel(
    tops,
    sums,
    mass,
    lse,
    ROWS,
    BLOCKS,
    end_0,
    end_1,
    end_2,
    end_3,
    end_4,
    end_5,
    end_6,
    end_7,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """A program: BLOCK_R rows, all blocks of all modalities; modality m's blocks end before `end_m`.

    Writes `mass [B, R, M]` and `lse [B, R]`, log2 of the sum of 2^score; +inf for a row with nothing to attend, so that
    every weight that is computed from it is 2^(score - inf) = 0.
    """
    ends = (end_0, end_1, end_2, end_3, end_4, end_5, end_6, end_7)
    row_blocks = tl.cdiv(ROWS, BLOCK_R)
    rows = tl.program_id(0) % row_blocks * BLOCK_R + tl.arange(0, BLOCK_R)
    row_ok = rows < ROWS
    batch = (tl.program_id(0) // row_blocks).to(tl.int64)
    inner = tl.arange(0, BLOCK_N)
    base = batch * BLOCKS * ROWS
    best = tl.full([BLOCK_R], float("-inf"), tl.float32)
    for start in range(0, BLOCKS, BLOCK_N):
        blocks = start + inner
        ok = row_ok[None, :] & (blocks < BLOCKS)[:, None]
        top = tl.load(tops + base + (blocks[:, None] * ROWS + rows[None, :]), mask=ok, other=float("-inf"))
        best = tl.maximum(best, tl.max(top, 0))
    safe = tl.where(best == float("-inf"), 0.0, best)
    columns = tl.arange(0, M_PAD)
    shares = tl.zeros([BLOCK_R, M_PAD], tl.float32)
    for start in range(0, BLOCKS, BLOCK_N):
        blocks = start + inner
        ok = row_ok[None, :] & (blocks < BLOCKS)[:, None]
        spot = base + (blocks[:, None] * ROWS + rows[None, :])
        top = tl.load(tops + spot, mask=ok, other=float("-inf"))
        scaled = tl.load(sums + spot, mask=ok, other=0.0) * tl.exp2(top - safe[None, :])
        begin = 0
        for m in tl.static_range(M):
            inside = (blocks >= begin) & (blocks < ends[m])
            share = tl.sum(tl.where(inside[:, None], scaled, 0.0), 0)
            shares += tl.where(columns[None, :] == m, share[:, None], 0.0)
            begin = ends[m]
    total = tl.sum(shares, 1)
    has_token = total > 0
    safe_total = tl.where(has_token, total, 1.0)
    shares = tl.where(has_token[:, None], shares / safe_total[:, None], 0.0)
    row = batch * ROWS + rows
    tl.store(mass + row[:, None] * M + columns[None, :], shares, mask=row_ok[:, None] & (columns < M)[None, :])
    tl.store(lse + row, tl.where(has_token, safe + tl.log2(safe_total), float("inf")), mask=row_ok)


@triton.jit(do_not_specialize=("TOKENS", "BLOCKS", "first"))
def context_kernel(
    weights,
    x,
    tops,
    lse,
    lengths,
    out,
    first,
    TOKENS,
    BLOCKS,
    ROWS,
    WIDTH,
    COLUMNS,
    column,
    SHARED: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program: BLOCK_R rows, BLOCK_D columns of one modality: the sum over its tokens of weights times x.

    Goes to `out [B, R, COLUMNS]` from `column` on. With `tops` and `lse` the weights are brought from a block's maximum
    to the row's total; without, they are taken as they are (the gradient of the rows is such a sum, too). SHARED: x has
    no batch.
    """
    row_blocks = tl.cdiv(ROWS, BLOCK_R)
    column_blocks = tl.cdiv(WIDTH, BLOCK_D)
    rows = tl.program_id(0) % row_blocks * BLOCK_R + tl.arange(0, BLOCK_R)
    row_ok = rows < ROWS
    dims = tl.program_id(0) // row_blocks % column_blocks * BLOCK_D + tl.arange(0, BLOCK_D)
    batch = (tl.program_id(0) // row_blocks // column_blocks).to(tl.int64)
    inner = tl.arange(0, BLOCK_T)
    real = TOKENS
    if lengths is not None:
        real = tl.minimum(tl.load(lengths + batch).to(tl.int32), TOKENS)
    if lse is not None:
        log_total = tl.load(lse + batch * ROWS + rows, mask=row_ok, other=float("inf"))
    x_tile = x + (inner[:, None] * WIDTH + dims[None, :])
    if not SHARED:
        x_tile += batch * TOKENS * WIDTH
    w_tile = weights + (batch * ROWS * BLOCKS + first) * BLOCK_T
    w_tile += rows[:, None] * (BLOCKS * BLOCK_T) + inner[None, :]
    acc = tl.zeros([BLOCK_R, BLOCK_D], tl.float32)
    for start in range(0, real, BLOCK_T):
        # Past the length a token is not read: what it holds may be NaN.
        token_ok = start + inner < real
        if WHOLE:
            tile = tl.load(x_tile + tl.cast(start, tl.int64) * WIDTH, mask=token_ok[:, None], other=0.0)
        else:
            tile_ok = token_ok[:, None] & (dims < WIDTH)[None, :]
            tile = tl.load(x_tile + tl.cast(start, tl.int64) * WIDTH, mask=tile_ok, other=0.0)
        part = tl.load(w_tile + start, mask=row_ok[:, None], other=0.0)
        if lse is not None:
            spot = (batch * BLOCKS + first + start // BLOCK_T) * ROWS + rows
            top = tl.load(tops + spot, mask=row_ok, other=float("-inf"))
            part = (part.to(tl.float32) * tl.exp2(top - log_total)[:, None]).to(tile.dtype)
        acc = tl.dot(part, tile, acc, input_precision="ieee")
    stored = out + batch * ROWS * COLUMNS + (rows[:, None] * COLUMNS + column + dims[None, :])
    tl.store(stored, acc.to(out.dtype.element_ty), mask=row_ok[:, None] & (dims < WIDTH)[None, :])
