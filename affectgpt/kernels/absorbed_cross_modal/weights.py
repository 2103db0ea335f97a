"""The weights of a cross-modal attention, as the operator takes them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class FusionWeights(NamedTuple):
    """Weights as `torch.nn.Linear` holds them, `[to, from]`. M modalities; an empty tuple means none of that kind.

    inputs: per modality `[D, D_m]`, or None for the identity (D_m == D).
    query, key, value: `[D, D]`; out: `[O, D]`; their biases `[D]` and `[O]`.
    input_biases: per modality `[D]` or None. positions: per modality `[T_m, D]` or None, added after the input
    projection.
    """

    inputs: tuple[Tensor | None, ...]
    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor
    input_biases: tuple[Tensor | None, ...] = ()
    query_bias: Tensor | None = None
    key_bias: Tensor | None = None
    value_bias: Tensor | None = None
    out_bias: Tensor | None = None
    positions: tuple[Tensor | None, ...] = ()

    def offset(self, modality: int) -> Tensor | None:
        """What is added to a modality's tokens after its input projection: `[T_m, D]`, `[1, D]` or None."""
        bias = self.input_biases[modality] if self.input_biases else None
        position = self.positions[modality] if self.positions else None
        if bias is None or position is None:
            return position if bias is None else bias[None]
        return position + bias

    def tensors(self) -> list[tuple[str, Tensor]]:
        """Every tensor there is, with the name an error calls it by."""
        named: list[tuple[str, Tensor | None]] = [
            *((f"weights.inputs[{m}]", tensor) for m, tensor in enumerate(self.inputs)),
            *((f"weights.input_biases[{m}]", tensor) for m, tensor in enumerate(self.input_biases)),
            *((f"weights.positions[{m}]", tensor) for m, tensor in enumerate(self.positions)),
            ("weights.query", self.query),
            ("weights.key", self.key),
            ("weights.value", self.value),
            ("weights.out", self.out),
            ("weights.query_bias", self.query_bias),
            ("weights.key_bias", self.key_bias),
            ("weights.value_bias", self.value_bias),
            ("weights.out_bias", self.out_bias),
        ]
        return [(name, tensor) for name, tensor in named if tensor is not None]
