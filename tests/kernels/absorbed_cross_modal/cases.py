"""Inputs for the tests of the Triton kernels, and how far from float64 a result may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import FusionWeights
from affectgpt.kernels.absorbed_cross_modal.reference import reference


@dataclass(frozen=True)
class Case:
    queries: Tensor
    tokens: Sequence[Tensor]
    weights: FusionWeights
    heads: int
    masks: Sequence[Tensor | None] | None = None
    lengths: Sequence[Tensor | None] | None = None
    gates: Tensor | None = None

    def leaves(self) -> dict[str, Tensor]:
        named = {"queries": self.queries, **{f"tokens[{m}]": x for m, x in enumerate(self.tokens)}}
        return {**named, **({} if self.gates is None else {"gates": self.gates}), **dict(self.weights.tensors())}

    def mapped(self, change: Any) -> Case:
        """The case with `change` done to each of its float tensors."""
        weights = FusionWeights(*torch.utils._pytree.tree_map_only(Tensor, change, tuple(self.weights)))
        return replace(
            self,
            queries=change(self.queries),
            tokens=[change(x) for x in self.tokens],
            weights=weights,
            gates=None if self.gates is None else change(self.gates),
        )


def make(
    lengths: Sequence[int] = (150, 130),
    widths: Sequence[int | None] = (37, None),
    *,
    batch: int = 2,
    heads: int = 2,
    queries: int = 3,
    width: int = 16,
    shared: bool = True,
    offsets: str = "rows",
    padding: str = "masks",
    gates: bool = True,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Case:
    """A case. `widths`: None has no input projection. `offsets`: none, rows (input biases), positions, both.

    `padding`: none, masks (with holes) or lengths; clip 0 then has nothing, and what is past a length is NaN.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*shape, generator=generator) * scale).to(device, dtype)

    weights = FusionWeights(
        inputs=tuple(None if size is None else noise(width, size, scale=size**-0.5) for size in widths),
        query=noise(width, width, scale=width**-0.5),
        key=noise(width, width, scale=width**-0.5),
        value=noise(width, width, scale=width**-0.5),
        out=noise(10, width, scale=width**-0.5),
        input_biases=tuple(noise(width) for _ in widths) if offsets in ("rows", "both") else (),
        positions=tuple(noise(length, width) for length in lengths) if offsets in ("positions", "both") else (),
        query_bias=noise(width),
        key_bias=noise(width),
        value_bias=noise(width),
        out_bias=noise(10),
    )
    tokens = [noise(batch, length, size or width) for length, size in zip(lengths, widths, strict=True)]
    case = Case(
        noise(1 if shared else batch, queries, width),
        tokens,
        weights,
        heads,
        gates=noise(heads, len(lengths)) if gates else None,
    )
    if padding == "masks":
        masks = [(torch.rand(batch, length, generator=generator) > 0.4).to(device) for length in lengths]
        for mask in masks:
            mask[0] = False
        return replace(case, masks=masks)
    if padding == "lengths":
        counts = [torch.randint(0, length + 1, (batch,), generator=generator).to(device) for length in lengths]
        for x, count in zip(tokens, counts, strict=True):
            count[0] = 0
            x.masked_fill_((torch.arange(x.shape[1], device=device) >= count[:, None])[..., None], float("nan"))
        return replace(case, lengths=counts)
    return case


def run(case: Case, **how: Any) -> dict[str, Tensor]:
    """Results and the gradients of all leaves, for one fixed pair of upstream gradients; `how=reference` in float64."""
    case = case.mapped(lambda tensor: tensor.detach().clone().requires_grad_())
    call = {"num_heads": case.heads, "gates": case.gates, "masks": case.masks}
    if how.pop("reference", False):
        masks, tokens = case.masks, case.tokens
        if case.lengths is not None:
            masks = [torch.arange(x.shape[1]) < n[:, None] for x, n in zip(tokens, case.lengths, strict=True)]
            # The reference projects before it leaves out: a weight's gradient would be 0 times NaN.
            tokens = [x.masked_fill(~mask[..., None], 0.0) for x, mask in zip(tokens, masks, strict=True)]
        out, mass = reference(case.queries, tokens, case.weights, **{**call, "masks": masks})
    else:
        out, mass = absorbed_cross_modal_attention(
            case.queries, case.tokens, case.weights, **call, lengths=case.lengths, **how
        )
    generator = torch.Generator().manual_seed(1)
    up_out, up_mass = torch.randn(out.shape, generator=generator), torch.randn(mass.shape, generator=generator)
    ((out * up_out.to(out)).sum() + (mass * up_mass.to(mass)).sum()).backward()
    gradients = {name: leaf.grad for name, leaf in case.leaves().items() if leaf.grad is not None}
    return {"out": out.detach(), "mass": mass.detach(), **gradients}


def close(case: Case, impl: str) -> None:
    """The Triton backend may be off by twice what PyTorch's is in the same dtype, plus roundings of a result's size."""
    exact = run(case.mapped(torch.Tensor.double), reference=True)
    usual = run(case, impl=impl, backend="torch")
    actual = run(case, impl=impl, backend="triton")
    rounding = torch.finfo(case.queries.dtype).eps
    assert set(exact) <= set(actual)
    for name, true in exact.items():
        result = actual[name].double()
        assert torch.isfinite(result).all(), name
        if not true.numel():
            continue
        allowed = 2 * (usual[name].double() - true).abs().max() + 16 * rounding * (1 + true.abs().max())
        assert (result - true).abs().max() <= allowed, (name, float((result - true).abs().max()), float(allowed))


CASES: dict[str, dict[str, Any]] = {
    "three ragged blocks and masks with holes": {},
    "lengths, NaN past them": {"padding": "lengths", "offsets": "none", "shared": False},
    "positions": {"offsets": "both", "lengths": (129, 5), "widths": (20, 33), "padding": "lengths"},
    "half precision": {"dtype": torch.float16, "padding": "none", "widths": (64, 70), "width": 32},
    # The larger grid.
    "more rows than a block": {"queries": 40, "lengths": (130, 1), "shared": False},
    "own queries, positions, masks": {"offsets": "positions", "shared": False},
    "half precision, more rows than a block": {"dtype": torch.float16, "queries": 40, "offsets": "both"},
    "eight modalities": {"lengths": (1, 64, 65, 0, 3, 7, 128, 9), "widths": (5, 6, 7, 8, 9, 64, 100, None)},
    "one query, bare": {"queries": 1, "heads": 1, "offsets": "none", "gates": False, "padding": "none"},
}
QUICK = 4
