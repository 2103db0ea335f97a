"""The backward kernels: weights are recomputed from the saved log-sum-exp; nothing is added atomically.

With upstream gradients dC of the contexts and dM of the mass, per row: delta = dC . C + dM . mass, dP = dC x^T,
dS = P (dP + dM - delta). Then dx = dS^T a + P^T dC, and da = dS x is a sum that `context_kernel` makes.
"""

from __future__ import annotations

import triton
import triton.language as tl

from affectgpt.kernels.absorbed_cross_modal.forward import UNSPECIALIZED


@triton.jit
def delta_kernel(
    contexts,
    d_contexts,
    mass,
    d_mass,
    delta,
    TOTAL,
    COLUMNS,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program: BLOCK_R of the TOTAL = B R rows -> `delta [B, R]` float32."""
    rows = (tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)).to(tl.int64)
    row_ok = rows < TOTAL
    modalities = tl.arange(0, M_PAD)
    shares = rows[:, None] * M + modalities[None, :]
    share_ok = row_ok[:, None] & (modalities < M)[None, :]
    share = tl.load(mass + shares, mask=share_ok, other=0.0)
    total = tl.sum(share * tl.load(d_mass + shares, mask=share_ok, other=0.0), 1)
    for start in range(0, COLUMNS, BLOCK_D):
        dims = start + tl.arange(0, BLOCK_D)
        spot = rows[:, None] * COLUMNS + dims[None, :]
        ok = row_ok[:, None] & (dims < COLUMNS)[None, :]
        context = tl.load(contexts + spot, mask=ok, other=0.0).to(tl.float32)
        total += tl.sum(context * tl.load(d_contexts + spot, mask=ok, other=0.0).to(tl.float32), 1)
    tl.store(delta + rows, total, mask=row_ok)


@triton.jit(do_not_specialize=UNSPECIALIZED)
def scores_gradient_kernel(
    a,
    x,
    offset,
    positions,
    mask,
    lengths,
    gates,
    d_contexts,
    d_mass,
    lse,
    delta,
    weights,
    d_scores,
    d_sums,
    a_b,
    offset_b,
    first,
    TOKENS,
    BLOCKS,
    ROWS,
    WIDTH,
    QUERIES,
    COLUMNS,
    column,
    EXTRA,
    extra_column,
    M,
    index,
    PER_TOKEN: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program: BLOCK_R rows, one block of tokens, as `scores_kernel`.

    Writes P and dS `[B, R, BLOCKS * BLOCK_T]` in the dtype of x, and dS summed over the block `[B, BLOCKS, R]` float32;
    each may be None. `positions [T, EXTRA]`, one for all clips, are the tokens of the contexts from `extra_column` on.
    """
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
    extra_bound = EXTRA
    if lengths is not None:
        real = tl.minimum(tl.load(lengths + batch).to(tl.int32), TOKENS)
        bound = tl.where(block * BLOCK_T < real, WIDTH, 0)
        extra_bound = tl.where(block * BLOCK_T < real, EXTRA, 0)
    valid = tokens < real
    a_tile = a + batch * a_b + (rows[:, None] * WIDTH + dims[None, :])
    x_tile = x + (batch * TOKENS + block * BLOCK_T) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
    g_tile = d_contexts + batch * ROWS * COLUMNS + (rows[:, None] * COLUMNS + dims[None, :])
    scores = tl.zeros([BLOCK_R, BLOCK_T], tl.float32)
    of_weights = tl.zeros([BLOCK_R, BLOCK_T], tl.float32)
    for start in range(0, bound, BLOCK_D):
        if WHOLE:
            row_tile = tl.load(a_tile + start, mask=row_ok[:, None], other=0.0)
            grad = tl.load(g_tile + column + start, mask=row_ok[:, None], other=0.0)
            right = tl.load(x_tile + start, mask=valid[:, None], other=0.0)
        else:
            dim_ok = start + dims < WIDTH
            row_tile = tl.load(a_tile + start, mask=row_ok[:, None] & dim_ok[None, :], other=0.0)
            grad = tl.load(g_tile + column + start, mask=row_ok[:, None] & dim_ok[None, :], other=0.0)
            right = tl.load(x_tile + start, mask=valid[:, None] & dim_ok[None, :], other=0.0)
        scores = tl.dot(row_tile, tl.trans(right), scores, input_precision="ieee")
        of_weights = tl.dot(grad, tl.trans(right), of_weights, input_precision="ieee")
    if positions is not None:
        p_tile = positions + (tokens.to(tl.int64)[:, None] * EXTRA + dims[None, :])
        for start in range(0, extra_bound, BLOCK_D):
            dim_ok = start + dims < EXTRA
            grad = tl.load(g_tile + extra_column + start, mask=row_ok[:, None] & dim_ok[None, :], other=0.0)
            right = tl.load(p_tile + start, mask=valid[:, None] & dim_ok[None, :], other=0.0)
            of_weights = tl.dot(grad, tl.trans(right), of_weights, input_precision="ieee")
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
    row = batch * ROWS + rows
    log_total = tl.load(lse + row, mask=row_ok, other=float("inf"))
    powers = tl.where(valid[None, :], tl.exp2(scores * 1.4426950408889634 - log_total[:, None]), 0.0)
    of_row = tl.load(d_mass + row * M + index, mask=row_ok, other=0.0) - tl.load(delta + row, mask=row_ok, other=0.0)
    of_scores = powers * (of_weights + of_row[:, None])
    columns = (first + block) * BLOCK_T + inner
    stored = batch * ROWS * BLOCKS * BLOCK_T + (rows[:, None] * (BLOCKS * BLOCK_T) + columns[None, :])
    if weights is not None:
        tl.store(weights + stored, powers.to(weights.dtype.element_ty), mask=row_ok[:, None])
    if d_scores is not None:
        tl.store(d_scores + stored, of_scores.to(d_scores.dtype.element_ty), mask=row_ok[:, None])
    if d_sums is not None:
        tl.store(d_sums + (batch * BLOCKS + first + block) * ROWS + rows, tl.sum(of_scores, 1), mask=row_ok)


@triton.jit(do_not_specialize=("TOKENS", "BLOCKS", "first"))
def tokens_gradient_kernel(
    a,
    d_contexts,
    weights,
    d_scores,
    lengths,
    out,
    a_b,
    first,
    TOKENS,
    BLOCKS,
    ROWS,
    WIDTH,
    COLUMNS,
    column,
    WHOLE: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program: one block of tokens, BLOCK_D columns of `out [B, T, WIDTH]` = dS^T a + P^T dC; without a, P^T dC.

    Tokens that do not count get 0.
    """
    token_blocks = tl.cdiv(TOKENS, BLOCK_T)
    column_blocks = tl.cdiv(WIDTH, BLOCK_D)
    dims = tl.program_id(0) % column_blocks * BLOCK_D + tl.arange(0, BLOCK_D)
    block = tl.program_id(0) // column_blocks % token_blocks
    batch = (tl.program_id(0) // column_blocks // token_blocks).to(tl.int64)
    inner = tl.arange(0, BLOCK_T)
    bound = ROWS
    if lengths is not None:
        real = tl.minimum(tl.load(lengths + batch).to(tl.int32), TOKENS)
        bound = tl.where(block * BLOCK_T < real, ROWS, 0)
    places = tl.arange(0, BLOCK_R)
    w_tile = (batch * ROWS * BLOCKS + first + block) * BLOCK_T + (places[:, None] * (BLOCKS * BLOCK_T) + inner[None, :])
    g_tile = d_contexts + batch * ROWS * COLUMNS + (places[:, None] * COLUMNS + column + dims[None, :])
    acc = tl.zeros([BLOCK_T, BLOCK_D], tl.float32)
    for start in range(0, bound, BLOCK_R):
        row_ok = start + places < ROWS
        tile_ok = row_ok[:, None]
        if not WHOLE:
            tile_ok = tile_ok & (dims < WIDTH)[None, :]
        grad = tl.load(g_tile + start * COLUMNS, mask=tile_ok, other=0.0)
        part = tl.load(weights + w_tile + start * (BLOCKS * BLOCK_T), mask=row_ok[:, None], other=0.0)
        acc = tl.dot(tl.trans(part), grad, acc, input_precision="ieee")
        if a is not None:
            row_tile = tl.load(
                a + batch * a_b + ((start + places)[:, None] * WIDTH + dims[None, :]), mask=tile_ok, other=0.0
            )
            part = tl.load(d_scores + w_tile + start * (BLOCKS * BLOCK_T), mask=row_ok[:, None], other=0.0)
            acc = tl.dot(tl.trans(part), row_tile, acc, input_precision="ieee")
    tokens = block * BLOCK_T + inner
    stored = out + (batch * TOKENS + block * BLOCK_T) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
    tl.store(stored, acc.to(out.dtype.element_ty), mask=(tokens < TOKENS)[:, None] & (dims < WIDTH)[None, :])
