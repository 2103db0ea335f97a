"""The forward kernel: one launch, one online softmax over all modalities.

A program owns BLOCK_M query rows of one key head; the rows are the (query head, query) pairs that share this head,
so that grouped queries read each key once. `ks`, `vs`, ... are tuples with one entry per modality.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def forward_kernel(
    q,
    ks,
    vs,
    masks,
    bias,
    out,
    mass,
    lse,
    scale,
    q_b,
    q_h,
    q_q,
    q_d,
    k_strides,
    v_strides,
    m_strides,
    bias_h,
    bias_m,
    lengths,
    QUERIES,
    WIDTH: tl.constexpr,
    GROUPS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < GROUPS * QUERIES
    head = kv_head * GROUPS + rows // QUERIES
    query = (rows % QUERIES).to(tl.int64)
    dims = tl.arange(0, BLOCK_D)
    dim_ok = dims < WIDTH
    columns = tl.arange(0, M_PAD)
    queries = tl.load(
        q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims.to(tl.int64)[None, :] * q_d,
        mask=row_ok[:, None] & dim_ok[None, :],
        other=0.0,
    )
    top = tl.full([BLOCK_M], float("-inf"), tl.float32)
    sums = tl.zeros([BLOCK_M, M_PAD], tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    for m in tl.static_range(M):
        k_b, k_h, k_t, k_d = k_strides[m]
        v_b, v_h, v_t, v_d = v_strides[m]
        length = lengths[m]
        gate = tl.zeros([BLOCK_M], tl.float32)
        if bias is not None:
            gate = tl.load(bias + head * bias_h + m * bias_m, mask=row_ok, other=0.0).to(tl.float32)
        for start in range(0, length, BLOCK_N):
            at = (start + tl.arange(0, BLOCK_N)).to(tl.int64)
            valid = at < length
            if masks[m] is not None:
                m_b, m_t = m_strides[m]
                valid = valid & (tl.load(masks[m] + batch * m_b + at * m_t, mask=valid, other=0) != 0)
            token_mask = valid[:, None] & dim_ok[None, :]
            key = tl.load(
                ks[m] + batch * k_b + kv_head * k_h + at[:, None] * k_t + dims.to(tl.int64)[None, :] * k_d,
                mask=token_mask,
                other=0.0,
            )
            scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * scale + gate[:, None]
            scores = tl.where(valid[None, :], scores, float("-inf"))
            best = tl.maximum(top, tl.max(scores, 1))
            # Nothing seen yet: -inf minus -inf would be NaN.
            safe = tl.where(best == float("-inf"), 0.0, best)
            powers = tl.exp(scores - safe[:, None])
            shrink = tl.exp(top - safe)
            sums = sums * shrink[:, None]
            sums += tl.where(columns[None, :] == m, tl.sum(powers, 1)[:, None], 0.0)
            value = tl.load(
                vs[m] + batch * v_b + kv_head * v_h + at[:, None] * v_t + dims.to(tl.int64)[None, :] * v_d,
                mask=token_mask,
                other=0.0,
            )
            acc = acc * shrink[:, None] + tl.dot(powers.to(value.dtype), value, input_precision="ieee")
            top = best
    total = tl.sum(sums, 1)
    has_token = total > 0
    inverse = tl.where(has_token, 1.0 / tl.where(has_token, total, 1.0), 0.0)
    row = (batch * KV_HEADS * GROUPS + head) * QUERIES + query
    tl.store(
        out + row[:, None] * WIDTH + dims[None, :],
        (acc * inverse[:, None]).to(out.dtype.element_ty),
        mask=row_ok[:, None] & dim_ok[None, :],
    )
    tl.store(
        mass + row[:, None] * M + columns[None, :],
        sums * inverse[:, None],
        mask=row_ok[:, None] & (columns < M)[None, :],
    )
    # +inf makes every recomputed weight exp(s - inf) = 0: an empty row has no gradient.
    tl.store(lse + row, tl.where(has_token, top + tl.log(tl.where(has_token, total, 1.0)), float("inf")), mask=row_ok)
