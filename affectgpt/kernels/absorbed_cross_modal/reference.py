"""The operator's meaning, one head and one sample at a time; any float dtype, float64 included."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from affectgpt.kernels.absorbed_cross_modal.weights import FusionWeights


def reference(
    queries: Tensor,
    tokens: Sequence[Tensor],
    weights: FusionWeights,
    *,
    num_heads: int,
    masks: Sequence[Tensor | None] | None = None,
    gates: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Project every token, attend, project the output. Arguments and results as in `absorbed_cross_modal_attention`."""
    batch, modalities, size = tokens[0].shape[0], len(tokens), queries.shape[-1] // num_heads
    outs, masses = [], []
    for row in range(batch):
        q = linear(queries[0 if queries.shape[0] == 1 else row], weights.query, weights.query_bias)
        keys, values, sources = [], [], []
        for m in range(modalities):
            x, projection, offset = tokens[m][row], weights.inputs[m], weights.offset(m)
            y = x if projection is None else linear(x, projection)
            y = y if offset is None else y + offset
            mask = None if masks is None else masks[m]
            y = y if mask is None else y[mask[row]]
            keys.append(linear(y, weights.key, weights.key_bias))
            values.append(linear(y, weights.value, weights.value_bias))
            sources += [m] * y.shape[0]
        if not sources:
            outs.append(q.new_zeros(q.shape[0], weights.out.shape[0]))
            masses.append(q.new_zeros(num_heads, q.shape[0], modalities))
            continue
        k, v, source = torch.cat(keys), torch.cat(values), torch.tensor(sources, device=q.device)
        heads, mass = [], []
        for h in range(num_heads):
            part = slice(h * size, (h + 1) * size)
            scores = q[:, part] @ k[:, part].T * size**-0.5
            scores = scores if gates is None else scores + gates[h, source]
            p = scores.softmax(-1)
            heads.append(p @ v[:, part])
            mass.append(torch.stack([p[:, source == m].sum(-1) for m in range(modalities)], -1))
        outs.append(linear(torch.cat(heads, -1), weights.out, weights.out_bias))
        masses.append(torch.stack(mass))
    return torch.stack(outs), torch.stack(masses)
