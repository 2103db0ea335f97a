"""The forward kernels: one online softmax over all modalities, split over tokens, and the merge of the splits.

A program owns BLOCK_M query rows of one key head; the rows are the (query head, query) pairs that share this head,
so that grouped queries read each key once. `ks`, `vs`, ... are tuples with one entry per modality. Scores and running
maxima are in base 2.
"""

from __future__ import annotations

import triton
import triton.language as tl

from affectgpt.kernels.cross_modal.words import bound, valid_tokens

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def split_kernel(
    q,
    ks,
    vs,
    lens,
    words,
    bias,
    out,
    mass,
    lse,
    scale,
    q_strides,
    k_strides,
    v_strides,
    len_strides,
    bias_h,
    bias_m,
    lengths,
    QUERIES,
    GROUPS,
    KV_HEADS,
    SPLITS,
    SINGLE: tl.constexpr,
    WIDTH: tl.constexpr,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """A program walks one contiguous run of every modality's blocks, cut by the clip's own length.

    With SINGLE the results: `out`, `mass`, `lse` as the operator gives them. Otherwise partial ones, float32: `out
    [B, SPLITS, H, Q, d]`, the weighted sum of values; `mass [B, SPLITS, H, Q, M]`, the sums of weights; `lse [B,
    SPLITS, H, Q]`, the greatest score.
    """
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    split = tl.program_id(2)
    rows = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < GROUPS * QUERIES
    head = kv_head * GROUPS + rows // QUERIES
    query = (rows % QUERIES).to(tl.int64)
    dims = tl.arange(0, BLOCK_D)
    dim_ok = dims < WIDTH
    columns = tl.arange(0, M_PAD)
    inner = tl.arange(0, BLOCK_N)
    tile = row_ok[:, None] & dim_ok[None, :]
    q_b, q_h, q_q, q_d = q_strides
    queries = tl.load(q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims[None, :] * q_d, mask=tile, other=0.0)
    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    sums = tl.zeros([BLOCK_M, M_PAD], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    for m in tl.static_range(M):
        k_b, k_h, k_t, k_d = k_strides[m]
        v_b, v_h, v_t, v_d = v_strides[m]
        real = bound(lens[m], len_strides[m], batch, lengths[m])
        gate = tl.zeros([BLOCK_M], tl.float32)
        if bias is not None:
            gate = tl.load(bias + head * bias_h + m * bias_m, mask=row_ok, other=0.0).to(tl.float32) * LOG2_E
        run = tl.cdiv(tl.cdiv(real, BLOCK_N), SPLITS) * BLOCK_N
        k_base = ks[m] + batch * k_b + kv_head * k_h
        v_base = vs[m] + batch * v_b + kv_head * v_h
        for start in range(split * run, tl.minimum((split + 1) * run, real), BLOCK_N):
            # The base of a block is 64 bits wide, the offsets inside it 32: few integer instructions a block.
            far = tl.cast(start, tl.int64)
            inside = start + inner < real
            read = inside[:, None] & dim_ok[None, :]
            key = tl.load(k_base + far * k_t + (inner[:, None] * k_t + dims[None, :] * k_d), mask=read, other=0.0)
            value = tl.load(v_base + far * v_t + (inner[:, None] * v_t + dims[None, :] * v_d), mask=read, other=0.0)
            scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * (scale * LOG2_E) + gate[:, None]
            valid = inside
            if words[m] is not None:
                valid = valid_tokens(words[m], len_strides[m], batch, start, inner, inside)
                # A masked token may hold NaN, and 0 * NaN is NaN.
                value = tl.where(valid[:, None], value, 0.0)
            scores = tl.where(valid[None, :], scores, float("-inf"))
            best = tl.maximum(top, tl.max(scores, 1))
            # A block may hold no valid token, and a gate may be -inf: -inf minus -inf would be NaN.
            safe = tl.where(best == float("-inf"), 0.0, best)
            powers = tl.exp2(scores - safe[:, None])
            shrink = tl.exp2(top - safe)
            sums = sums * shrink[:, None] + tl.where(columns[None, :] == m, tl.sum(powers, 1)[:, None], 0.0)
            acc = tl.dot(powers.to(value.dtype), value, acc * shrink[:, None], input_precision="ieee")
            top = best
    row = ((batch * SPLITS + split) * KV_HEADS * GROUPS + head) * QUERIES + query
    out_at = out + row[:, None] * WIDTH + dims[None, :]
    mass_at = mass + row[:, None] * M + columns[None, :]
    counted = row_ok[:, None] & (columns < M)[None, :]
    if SINGLE:
        total = tl.sum(sums, 1)
        has_token = total > 0
        inverse = tl.where(has_token, 1.0 / tl.where(has_token, total, 1.0), 0.0)
        tl.store(out_at, (acc * inverse[:, None]).to(out.dtype.element_ty), mask=tile)
        tl.store(mass_at, sums * inverse[:, None], mask=counted)
        # +inf makes every recomputed weight exp(s - inf) = 0: an empty row has no gradient.
        natural = (top + tl.log2(tl.where(has_token, total, 1.0))) / LOG2_E
        tl.store(lse + row, tl.where(has_token, natural, float("inf")), mask=row_ok)
    else:
        tl.store(out_at, acc, mask=tile)
        tl.store(mass_at, sums, mask=counted)
        tl.store(lse + row, top, mask=row_ok)


@triton.jit
def merge_kernel(
    part_out,
    part_mass,
    part_top,
    out,
    mass,
    lse,
    SPLITS,
    ROWS,
    WIDTH: tl.constexpr,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """A program adds the splits of one row (clip, head, query) in their order; ROWS = H Q."""
    row = tl.program_id(0).to(tl.int64)
    dims = tl.arange(0, BLOCK_D)
    columns = tl.arange(0, M_PAD)
    inner = tl.arange(0, BLOCK_S)
    first = row // ROWS * SPLITS * ROWS + row % ROWS
    best = tl.full([BLOCK_S], float("-inf"), tl.float32)
    for start in range(0, SPLITS, BLOCK_S):
        at = first + (start + inner) * ROWS
        best = tl.maximum(best, tl.load(part_top + at, mask=start + inner < SPLITS, other=float("-inf")))
    top = tl.max(best, 0)
    safe = tl.where(top == float("-inf"), 0.0, top)
    acc = tl.zeros([BLOCK_D], tl.float32)
    sums = tl.zeros([M_PAD], tl.float32)
    for start in range(0, SPLITS, BLOCK_S):
        is_split = start + inner < SPLITS
        at = first + (start + inner) * ROWS
        weight = tl.exp2(tl.load(part_top + at, mask=is_split, other=float("-inf")) - safe)[:, None]
        counted = is_split[:, None] & (columns < M)[None, :]
        sums += tl.sum(weight * tl.load(part_mass + at[:, None] * M + columns[None, :], mask=counted, other=0.0), 0)
        wide = is_split[:, None] & (dims < WIDTH)[None, :]
        acc += tl.sum(weight * tl.load(part_out + at[:, None] * WIDTH + dims[None, :], mask=wide, other=0.0), 0)
    total = tl.sum(sums, 0)
    has_token = total > 0
    inverse = tl.where(has_token, 1.0 / tl.where(has_token, total, 1.0), 0.0)
    tl.store(out + row * WIDTH + dims, (acc * inverse).to(out.dtype.element_ty), mask=dims < WIDTH)
    tl.store(mass + row * M + columns, sums * inverse, mask=columns < M)
    natural = (safe + tl.log2(tl.where(has_token, total, 1.0))) / LOG2_E
    tl.store(lse + row, tl.where(has_token, natural, float("inf")))
