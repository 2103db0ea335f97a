"""The backward for more rows than one block, in two kernels that each read keys and values.

`queries_kernel` has the forward's shape (rows, all modalities) and gives the gradients of queries and gates;
`tokens_kernel` runs once per modality, a program owning BLOCK_N of its tokens, and writes each of them, padding too.
"""

from __future__ import annotations

import triton
import triton.language as tl

from affectgpt.kernels.cross_modal.words import bound, valid_tokens

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def queries_kernel(
    q,
    ks,
    vs,
    lens,
    words,
    bias,
    d_out,
    d_mass,
    delta,
    lse,
    d_q,
    d_gates,
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
    WIDTH: tl.constexpr,
    M: tl.constexpr,
    M_PAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """`d_q [B, SPLITS, H, Q, d]` and `d_gates [B, SPLITS, H, Q, M]` float32, as in `backward_kernel`."""
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    split = tl.program_id(2)
    rows = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < GROUPS * QUERIES
    head = kv_head * GROUPS + rows // QUERIES
    query = (rows % QUERIES).to(tl.int64)
    dims = tl.arange(0, BLOCK_D)
    dim_ok = dims < WIDTH
    tile = row_ok[:, None] & dim_ok[None, :]
    columns = tl.arange(0, M_PAD)
    inner = tl.arange(0, BLOCK_N)
    row = (batch * KV_HEADS * GROUPS + head) * QUERIES + query
    q_b, q_h, q_q, q_d = q_strides
    queries = tl.load(q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims[None, :] * q_d, mask=tile, other=0.0)
    grad = tl.load(d_out + row[:, None] * WIDTH + dims[None, :], mask=tile, other=0.0)
    offset = tl.load(delta + row, mask=row_ok, other=0.0)
    log_total = tl.load(lse + row, mask=row_ok, other=float("inf")) * LOG2_E
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    gates = tl.zeros([BLOCK_M, M_PAD], tl.float32)
    for m in tl.static_range(M):
        k_b, k_h, k_t, k_d = k_strides[m]
        v_b, v_h, v_t, v_d = v_strides[m]
        real = bound(lens[m], len_strides[m], batch, lengths[m])
        gate = tl.zeros([BLOCK_M], tl.float32)
        if bias is not None:
            gate = tl.load(bias + head * bias_h + m * bias_m, mask=row_ok, other=0.0).to(tl.float32) * LOG2_E
        of_mass = tl.load(d_mass + row * M + m, mask=row_ok, other=0.0)
        run = tl.cdiv(tl.cdiv(real, BLOCK_N), SPLITS) * BLOCK_N
        k_base = ks[m] + batch * k_b + kv_head * k_h
        v_base = vs[m] + batch * v_b + kv_head * v_h
        for start in range(split * run, tl.minimum((split + 1) * run, real), BLOCK_N):
            far = tl.cast(start, tl.int64)
            valid = start + inner < real
            read = valid[:, None] & dim_ok[None, :]
            key = tl.load(k_base + far * k_t + (inner[:, None] * k_t + dims[None, :] * k_d), mask=read, other=0.0)
            value = tl.load(v_base + far * v_t + (inner[:, None] * v_t + dims[None, :] * v_d), mask=read, other=0.0)
            if words[m] is not None:
                valid = valid_tokens(words[m], len_strides[m], batch, start, inner, valid)
                key = tl.where(valid[:, None], key, 0.0)
                value = tl.where(valid[:, None], value, 0.0)
            scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * (scale * LOG2_E) + gate[:, None]
            weights = tl.where(valid[None, :], tl.exp2(scores - log_total[:, None]), 0.0)
            of_weights = tl.dot(grad, tl.trans(value), input_precision="ieee") + of_mass[:, None]
            of_scores = weights * (of_weights - offset[:, None])
            acc = tl.dot(of_scores.to(key.dtype), key, acc, input_precision="ieee")
            gates += tl.where(columns[None, :] == m, tl.sum(of_scores, 1)[:, None], 0.0)
    part = ((batch * SPLITS + split) * KV_HEADS * GROUPS + head) * QUERIES + query
    if d_q is not None:
        tl.store(d_q + part[:, None] * WIDTH + dims[None, :], acc * scale, mask=tile)
    if d_gates is not None:
        counted = row_ok[:, None] & (columns < M)[None, :]
        tl.store(d_gates + part[:, None] * M + columns[None, :], gates, mask=counted)


@triton.jit
def tokens_kernel(
    q,
    k,
    v,
    lens,
    words,
    bias,
    d_out,
    d_mass,
    delta,
    lse,
    d_k,
    d_v,
    scale,
    q_strides,
    k_strides,
    v_strides,
    len_stride,
    bias_h,
    bias_m,
    length,
    QUERIES,
    GROUPS,
    KV_HEADS,
    INDEX,
    WIDTH: tl.constexpr,
    M: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """`d_k`, `d_v` `[B, Hkv, T, d]` of modality INDEX; None is not computed."""
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    start = tl.program_id(1) * BLOCK_N
    far = tl.cast(start, tl.int64)
    inner = tl.arange(0, BLOCK_N)
    dims = tl.arange(0, BLOCK_D)
    dim_ok = dims < WIDTH
    k_b, k_h, k_t, k_d = k_strides
    v_b, v_h, v_t, v_d = v_strides
    real = bound(lens, len_stride, batch, length)
    valid = start + inner < real
    if words is not None:
        valid = valid_tokens(words, len_stride, batch, start, inner, valid)
    read = valid[:, None] & dim_ok[None, :]
    k_base = k + batch * k_b + kv_head * k_h
    v_base = v + batch * v_b + kv_head * v_h
    key = tl.load(k_base + far * k_t + (inner[:, None] * k_t + dims[None, :] * k_d), mask=read, other=0.0)
    value = tl.load(v_base + far * v_t + (inner[:, None] * v_t + dims[None, :] * v_d), mask=read, other=0.0)
    of_key = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    of_value = tl.zeros([BLOCK_N, BLOCK_D], tl.float32)
    q_b, q_h, q_q, q_d = q_strides
    for begin in range(0, tl.where(start < real, GROUPS * QUERIES, 0), BLOCK_M):
        rows = begin + tl.arange(0, BLOCK_M)
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
        log_total = tl.load(lse + row, mask=row_ok, other=float("inf")) * LOG2_E
        of_mass = tl.load(d_mass + row * M + INDEX, mask=row_ok, other=0.0)
        scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * (scale * LOG2_E)
        if bias is not None:
            gate = tl.load(bias + head * bias_h + INDEX * bias_m, mask=row_ok, other=0.0).to(tl.float32)
            scores += gate[:, None] * LOG2_E
        weights = tl.where(valid[None, :], tl.exp2(scores - log_total[:, None]), 0.0)
        if d_v is not None:
            of_value += tl.dot(tl.trans(weights.to(grad.dtype)), grad, input_precision="ieee")
        if d_k is not None:
            of_weights = tl.dot(grad, tl.trans(value), input_precision="ieee") + of_mass[:, None]
            of_scores = weights * (of_weights - offset[:, None])
            of_key += tl.dot(tl.trans(of_scores.to(queries.dtype)), queries, input_precision="ieee")
    at = ((batch * KV_HEADS + kv_head) * length + start) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
    keep = (start + inner < length)[:, None] & dim_ok[None, :]
    if d_k is not None:
        tl.store(d_k + at, (of_key * scale).to(d_k.dtype.element_ty), mask=keep)
    if d_v is not None:
        tl.store(d_v + at, of_value.to(d_v.dtype.element_ty), mask=keep)
