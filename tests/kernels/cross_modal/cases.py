"""Inputs for the operator's tests, and how far from float64 a result may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from affectgpt.kernels import cross_modal_attention


@dataclass(frozen=True)
class Case:
    queries: Tensor
    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    masks: Sequence[Tensor | None] | None
    biases: Tensor | None
    lengths: Sequence[Tensor | None] | None = None

    def leaves(self) -> list[Tensor]:
        return [self.queries, *self.keys, *self.values, *([] if self.biases is None else [self.biases])]

    def double(self) -> Case:
        biases = None if self.biases is None else self.biases.double()
        keys, values = [key.double() for key in self.keys], [value.double() for value in self.values]
        return replace(self, queries=self.queries.double(), keys=keys, values=values, biases=biases)


def make(
    *,
    batch: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    queries: int = 3,
    width: int = 16,
    lengths: Sequence[int] = (7, 0, 63),
    shared: bool = True,
    masked: bool = True,
    counted: bool = False,
    gates: bool = True,
    closed: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    seed: int = 0,
) -> Case:
    """A case with strided keys; with `masked`, row 0 has nothing to attend and masked positions hold NaN and inf.

    `counted`: lengths instead, one of them above T, and what lies behind them holds NaN. `closed`: one head's gates are
    -inf, and so is another's first.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    keys = [noise(batch, length, kv_heads, width).transpose(1, 2) for length in lengths]
    values = [noise(batch, kv_heads, length, 2 * width)[..., ::2] for length in lengths]
    masks: list[Tensor | None] | None = None
    if masked and not counted:
        masks = []
        for key, value in zip(keys, values, strict=True):
            mask = (torch.rand(batch, key.shape[2], generator=generator) > 0.4).to(device)
            mask[0] = False
            key.masked_fill_(~mask[:, None, :, None], float("nan"))
            value.masked_fill_(~mask[:, None, :, None], float("inf"))
            masks.append(mask)
    sizes: list[Tensor | None] | None = None
    if counted:
        masks, sizes = None, []
        for key, value in zip(keys, values, strict=True):
            size = torch.randint(0, key.shape[2] + 1, (batch,), generator=generator)
            size[-1] = key.shape[2] + 5
            behind = (torch.arange(key.shape[2]) >= size[:, None]).to(device)[:, None, :, None]
            key.masked_fill_(behind, float("nan"))
            value.masked_fill_(behind, float("nan"))
            sizes.append(size.to(device))
    biases = noise(heads, len(lengths)) if gates else None
    if closed and biases is not None:
        biases[0], biases[-1, 0] = float("-inf"), float("-inf")
    return Case(noise(1 if shared else batch, heads, queries, width), keys, values, masks, biases, sizes)


def run(case: Case, impl: Any) -> list[Tensor]:
    """`out`, `mass` and the gradients of all leaves for one fixed pair of upstream gradients."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in case.leaves()]
    count = len(case.keys)
    out, mass = cross_modal_attention(
        leaves[0],
        leaves[1 : 1 + count],
        leaves[1 + count : 1 + 2 * count],
        masks=case.masks,
        lengths=case.lengths,
        biases=None if case.biases is None else leaves[-1],
        impl=impl,
    )
    generator = torch.Generator().manual_seed(1)
    up_out, up_mass = torch.randn(out.shape, generator=generator), torch.randn(mass.shape, generator=generator)
    ((out * up_out.to(out)).sum() + (mass * up_mass.to(mass)).sum()).backward()
    return [out.detach(), mass.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def close(case: Case, impl: Any) -> None:
    """`impl` may be off by twice what the reference of the same dtype is, plus roundings of its values.

    Eight, because the saved log-sum-exp is itself rounded: that moves all weights of a row together. And one of the
    size of a product of `width` normal values; a gate's gradient is a sum of such products, one per row, that cancel.
    """
    exact, same, actual_results = run(case.double(), "reference"), run(case, "reference"), run(case, impl)
    assert len(exact) == len(actual_results)
    for index, (true, usual, actual) in enumerate(zip(exact, same, actual_results, strict=True)):
        if not true.numel():
            continue
        assert torch.isfinite(actual).all(), f"result {index} of {impl}"
        size = true.square().mean().sqrt().item()
        rounding = torch.finfo(case.queries.dtype).eps
        allowed = 2 * (usual.double() - true).abs().max().item() + 8 * rounding * (size + true.abs().max().item())
        products = case.queries.shape[-1]
        if case.biases is not None and index == len(exact) - 1:
            products *= case.keys[0].shape[0] * case.queries.shape[2]
        allowed += rounding * products**0.5
        assert (actual.double() - true).abs().max().item() <= allowed, f"result {index} of {impl}"


CASES: dict[str, dict[str, Any]] = {
    "ragged and empty rows": {},
    "a query per row, no mask": {"shared": False, "masked": False},
    "one query, one modality": {"queries": 1, "lengths": (100,), "heads": 2, "gates": False},
    "100 queries": {"queries": 100, "lengths": (1, 63), "heads": 2, "kv_heads": 2},
    "width 100": {"width": 100, "lengths": (63, 7), "heads": 2, "kv_heads": 1},
    "five modalities": {"lengths": (1, 7, 0, 20, 33), "heads": 2, "kv_heads": 1},
    "nothing at all": {"lengths": (0, 0), "masked": False},
    "half precision": {"dtype": torch.float16},
    "lengths": {"counted": True},
    "closed gates": {"closed": True, "masked": False},
}
