"""The backward in one read of keys and values, for as many rows as fit one block.

Weights are recomputed from the saved log-sum-exp. A program owns one clip, one key head and one split of its tokens: it
finishes the gradients of those tokens, and writes its share of those of queries and gates, which the caller adds in a
fixed order. Nothing is added atomically, so two backwards agree to the bit.
"""

from __future__ import annotations

import triton
import triton.language as tl

from affectgpt.kernels.cross_modal.words import bound, valid_tokens

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def backward_kernel(
    q,
    ks,
    vs,
    lens,
    words,
    bias,
    out,
    mass,
    lse,
    d_out,
    d_mass,
    d_q,
    d_gates,
    d_ks,
    d_vs,
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
    """`d_q [B, SPLITS, H, Q, d]` and `d_gates [B, SPLITS, H, Q, M]` float32; None (as `d_ks[m]`, `d_vs[m]`) is not
    computed. Tokens that do not count get gradients of 0."""
    batch = (tl.program_id(0) // KV_HEADS).to(tl.int64)
    kv_head = (tl.program_id(0) % KV_HEADS).to(tl.int64)
    split = tl.program_id(1)
    rows = tl.arange(0, BLOCK_M)
    row_ok = rows < GROUPS * QUERIES
    head = kv_head * GROUPS + rows // QUERIES
    query = (rows % QUERIES).to(tl.int64)
    dims = tl.arange(0, BLOCK_D)
    dim_ok = dims < WIDTH
    columns = tl.arange(0, M_PAD)
    inner = tl.arange(0, BLOCK_N)
    tile = row_ok[:, None] & dim_ok[None, :]
    counted = row_ok[:, None] & (columns < M)[None, :]
    q_b, q_h, q_q, q_d = q_strides
    queries = tl.load(q + batch * q_b + (head * q_h + query * q_q)[:, None] + dims[None, :] * q_d, mask=tile, other=0.0)
    row = (batch * KV_HEADS * GROUPS + head) * QUERIES + query
    at_row = row[:, None] * WIDTH + dims[None, :]
    grad = tl.load(d_out + at_row, mask=tile, other=0.0)
    log_total = tl.load(lse + row, mask=row_ok, other=float("inf")) * LOG2_E
    # Delta: what every score's gradient loses, for softmax keeps the sum of weights at one.
    result = tl.load(out + at_row, mask=tile, other=0.0)
    offset = tl.sum(grad.to(tl.float32) * result.to(tl.float32), 1)
    at_mass = row[:, None] * M + columns[None, :]
    of_masses = tl.load(d_mass + at_mass, mask=counted, other=0.0)
    offset += tl.sum(of_masses * tl.load(mass + at_mass, mask=counted, other=0.0), 1)
    acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
    gates = tl.zeros([BLOCK_M, M_PAD], tl.float32)
    for m in tl.static_range(M):
        if d_q is not None or d_gates is not None or d_ks[m] is not None or d_vs[m] is not None:
            k_b, k_h, k_t, k_d = k_strides[m]
            v_b, v_h, v_t, v_d = v_strides[m]
            length = lengths[m]
            real = bound(lens[m], len_strides[m], batch, length)
            gate = tl.zeros([BLOCK_M], tl.float32)
            if bias is not None:
                gate = tl.load(bias + head * bias_h + m * bias_m, mask=row_ok, other=0.0).to(tl.float32) * LOG2_E
            of_mass = tl.sum(tl.where(columns[None, :] == m, of_masses, 0.0), 1)
            k_base = ks[m] + batch * k_b + kv_head * k_h
            v_base = vs[m] + batch * v_b + kv_head * v_h
            first = (batch * KV_HEADS + kv_head) * length
            blocks = tl.cdiv(real, BLOCK_N)
            run = tl.cdiv(blocks, SPLITS) * BLOCK_N
            for start in range(split * run, tl.minimum((split + 1) * run, real), BLOCK_N):
                far = tl.cast(start, tl.int64)
                valid = start + inner < real
                read = valid[:, None] & dim_ok[None, :]
                key = tl.load(k_base + far * k_t + (inner[:, None] * k_t + dims[None, :] * k_d), mask=read, other=0.0)
                value = tl.load(v_base + far * v_t + (inner[:, None] * v_t + dims[None, :] * v_d), mask=read, other=0.0)
                if words[m] is not None:
                    valid = valid_tokens(words[m], len_strides[m], batch, start, inner, valid)
                    # A masked token may hold NaN, and 0 * NaN is NaN: in dq for keys.
                    key = tl.where(valid[:, None], key, 0.0)
                    value = tl.where(valid[:, None], value, 0.0)
                scores = tl.dot(queries, tl.trans(key), input_precision="ieee") * (scale * LOG2_E) + gate[:, None]
                weights = tl.where(valid[None, :], tl.exp2(scores - log_total[:, None]), 0.0)
                # The last block reaches past the walked tokens, and those get their zeros here.
                keep = (start + inner < length)[:, None] & dim_ok[None, :]
                at = (first + start) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
                if d_vs[m] is not None:
                    of_value = tl.dot(tl.trans(weights.to(grad.dtype)), grad, input_precision="ieee")
                    tl.store(d_vs[m] + at, of_value.to(d_vs[m].dtype.element_ty), mask=keep)
                if d_q is not None or d_gates is not None or d_ks[m] is not None:
                    of_weights = tl.dot(grad, tl.trans(value), input_precision="ieee") + of_mass[:, None]
                    of_scores = weights * (of_weights - offset[:, None])
                    if d_ks[m] is not None:
                        of_key = tl.dot(tl.trans(of_scores.to(queries.dtype)), queries, input_precision="ieee") * scale
                        tl.store(d_ks[m] + at, of_key.to(d_ks[m].dtype.element_ty), mask=keep)
                    if d_q is not None:
                        acc = tl.dot(of_scores.to(key.dtype), key, acc, input_precision="ieee")
                    if d_gates is not None:
                        gates += tl.where(columns[None, :] == m, tl.sum(of_scores, 1)[:, None], 0.0)
            if lens[m] is not None and (d_ks[m] is not None or d_vs[m] is not None):
                # The tail that no block reached, shared out as the blocks are.
                nothing = tl.zeros([BLOCK_N, BLOCK_D], queries.dtype)
                share = tl.cdiv(tl.cdiv(length, BLOCK_N) - blocks, SPLITS)
                until = tl.minimum((blocks + (split + 1) * share) * BLOCK_N, length)
                for start in range((blocks + split * share) * BLOCK_N, until, BLOCK_N):
                    keep = (start + inner < length)[:, None] & dim_ok[None, :]
                    at = (first + start) * WIDTH + (inner[:, None] * WIDTH + dims[None, :])
                    if d_ks[m] is not None:
                        tl.store(d_ks[m] + at, nothing, mask=keep)
                    if d_vs[m] is not None:
                        tl.store(d_vs[m] + at, nothing, mask=keep)
    part = ((batch * SPLITS + split) * KV_HEADS * GROUPS + head) * QUERIES + query
    if d_q is not None:
        tl.store(d_q + part[:, None] * WIDTH + dims[None, :], acc * scale, mask=tile)
    if d_gates is not None:
        tl.store(d_gates + part[:, None] * M + columns[None, :], gates, mask=counted)
