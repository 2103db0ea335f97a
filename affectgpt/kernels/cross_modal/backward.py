"""The backward kernels: weights are recomputed from the saved log-sum-exp; nothing is added atomically.

`queries_kernel` has the forward's shape (rows, all modalities) and writes the gradients of queries and gates;
`tokens_kernel` runs once per modality, a program owning BLOCK_N of its tokens.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def queries_kernel(
    q,
    ks,
    vs,
    masks,
    bias,
    d_out,
    d_mass,
    delta,
    lse,
    d_q,
    d_bias,
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
    dims = tl.arange(0, BLOCK_D).to(tl.int64)
    dim_ok = dims < WIDTH
    tile = row_ok[:, None] & dim_ok[None, :]
    columns = tl.arange(0, M_PAD)
    row = (batch * KV_HEADS * GROUPS + head) * QUERIES + query
    queries = tl.load(q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims[None, :] * q_d, mask=tile, other=0.0)
    grad = tl.load(d_out + row[:, None] * WIDTH + dims[None, :], mask=tile, other=0.0)
    offset = tl.load(delta + row, mask=row_ok, other=0.0)
    log_total = tl.load(lse + row, mask=row_ok, other=float("inf"))
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    gates = tl.zeros([BLOCK_M, M_PAD], tl.float32)
    for m in tl.static_range(M):
        k_b, k_h, k_t, k_d = k_strides[m]
        v_b, v_h, v_t, v_d = v_strides[m]
        length = lengths[m]
        gate = tl.zeros([BLOCK_M], tl.float32)
        if bias is not None:
            gate = tl.load(bias + head * bias_h + m * bias_m, mask=row_ok, other=0.0).to(tl.float32)
        of_mass = tl.load(d_mass + row * M + m, mask=row_ok, other=0.0)
        for start in range(0, length, BLOCK_N):
            at = (start + tl.arange(0, BLOCK_N)).to(tl.int64)
            valid = at < length
            if masks[m] is not None:
                m_b, m_t = m_strides[m]
                valid = valid & (tl.load(masks[m] + batch * m_b + at * m_t, mask=valid, other=0) != 0)
            token_mask = valid[:, None] & dim_ok[None, :]
            key = tl.load(
                ks[m] + batch * k_b + kv_head * k_h + at[:, None] * k_t + dims[None, :] * k_d,
                mask=token_mask,
                other=0.0,
            )
            value = tl.load(
                vs[m] + batch * v_b + kv_head * v_h + at[:, None] * v_t + dims[None, :] * v_d,
                mask=token_mask,
                other=0.0,
            )
            scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * scale + gate[:, None]
            weights = tl.where(valid[None, :], tl.exp(scores - log_total[:, None]), 0.0)
            of_weights = tl.dot(grad, tl.trans(value), input_precision="ieee") + of_mass[:, None]
            of_scores = weights * (of_weights - offset[:, None])
            acc += tl.dot(of_scores.to(key.dtype), key, input_precision="ieee")
            gates += tl.where(columns[None, :] == m, tl.sum(of_scores, 1)[:, None], 0.0)
    tl.store(d_q + row[:, None] * WIDTH + dims[None, :], acc * scale, mask=tile)
    tl.store(d_bias + row[:, None] * M + columns[None, :], gates, mask=row_ok[:, None] & (columns < M)[None, :])


@triton.jit
def tokens_kernel(
    q,
    k,
    v,
    mask,
    bias,
    d_out,
    d_mass,
    delta,
    lse,
    d_k,
    d_v,
    scale,
    q_b,
    q_h,
    q_q,
    q_d,
    k_b,
    k_h,
    k_t,
    k_d,
    v_b,
    v_h,
    v_t,
    v_d,
    m_b,
    m_t,
    bias_h,
    bias_m,
    LENGTH,
    QUERIES,
    WIDTH: tl.constexpr,
    GROUPS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    M: tl.constexpr,
    INDEX: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    at = (tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    is_token = at < LENGTH
    valid = is_token
    if mask is not None:
        valid = valid & (tl.load(mask + batch * m_b + at * m_t, mask=is_token, other=0) != 0)
    dims = tl.arange(0, BLOCK_D).to(tl.int64)
    dim_ok = dims < WIDTH
    token_mask = valid[:, None] & dim_ok[None, :]
    key = tl.load(k + batch * k_b + kv_head * k_h + at[:, None] * k_t + dims[None, :] * k_d, mask=token_mask, other=0.0)
    value = tl.load(
        v + batch * v_b + kv_head * v_h + at[:, None] * v_t + dims[None, :] * v_d, mask=token_mask, other=0.0
    )
    of_key = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    of_value = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    for start in range(0, GROUPS * QUERIES, BLOCK_M):
        rows = start + tl.arange(0, BLOCK_M)
        row_ok = rows < GROUPS * QUERIES
        tile = row_ok[:, None] & dim_ok[None, :]
        head = kv_head * GROUPS + rows // QUERIES
        query = (rows % QUERIES).to(tl.int64)
        row = (batch * KV_HEADS * GROUPS + head) * QUERIES + query
        queries = tl.load(
            q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims[None, :] * q_d, mask=tile, other=0.0
        )
        grad = tl.load(d_out + row[:, None] * WIDTH + dims[None, :], mask=tile, other=0.0)
        offset = tl.load(delta + row, mask=row_ok, other=0.0)
        log_total = tl.load(lse + row, mask=row_ok, other=float("inf"))
        of_mass = tl.load(d_mass + row * M + INDEX, mask=row_ok, other=0.0)
        scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * scale
        if bias is not None:
            gate = tl.load(bias + head * bias_h + INDEX * bias_m, mask=row_ok, other=0.0).to(tl.float32)
            scores += gate[:, None]
        weights = tl.where(valid[None, :], tl.exp(scores - log_total[:, None]), 0.0)
        if d_v is not None:
            of_value += tl.dot(tl.trans(weights.to(grad.dtype)), grad, input_precision="ieee")
        if d_k is not None:
            of_weights = tl.dot(grad, tl.trans(value), input_precision="ieee") + of_mass[:, None]
            of_scores = weights * (of_weights - offset[:, None])
            of_key += tl.dot(tl.trans(of_scores.to(queries.dtype)), queries, input_precision="ieee")
    base = ((batch * KV_HEADS + kv_head) * LENGTH + at)[:, None] * WIDTH + dims[None, :]
    keep = is_token[:, None] & dim_ok[None, :]
    if d_k is not None:
        tl.store(d_k + base, (of_key * scale).to(d_k.dtype.element_ty), mask=keep)
    if d_v is not None:
        tl.store(d_v + base, of_value.to(d_v.dtype.element_ty), mask=keep)
