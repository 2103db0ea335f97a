"""A wrong argument is named, with what it is and what it should be."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import FusionWeights

E = torch.empty


def call(**changes: Any) -> Any:
    weights = FusionWeights((E(8, 6), None), E(8, 8), E(8, 8), E(8, 8), E(5, 8))
    arguments = {"queries": E(1, 2, 8), "tokens": [E(3, 4, 6), E(3, 5, 8)], "num_heads": 2}
    weights = weights._replace(**{k: changes.pop(k) for k in list(changes) if k in FusionWeights._fields})
    return absorbed_cross_modal_attention(**{**arguments, "weights": weights, **changes})


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"tokens": []}, ValueError, "tokens holds 0 modalities, expected 1 to 8"),
        ({"tokens": [E(3, 1, 8)] * 9}, ValueError, "tokens holds 9 modalities, expected 1 to 8"),
        ({"tokens": [E(3, 4, 6)]}, ValueError, "weights.inputs has 2 entries, expected 1"),
        ({"tokens": [E(3, 4, 6), E(2, 5, 8)]}, ValueError, "tokens[1] has shape [2, 5, 8], expected [3, T_1, D_1]"),
        ({"tokens": [E(3, 4, 6), E(3, 5, 7)]}, ValueError, "tokens[1] has shape [3, 5, 7], expected [3, T_1, 8]"),
        ({"tokens": [E(3, 4, 7), E(3, 5, 8)]}, ValueError, "weights.inputs[0] has shape [8, 6], expected [8, 7]"),
        ({"queries": E(2, 2, 8)}, ValueError, "queries has shape [2, 2, 8], expected [3 or 1, Q, 8]"),
        ({"queries": E(2, 8)}, ValueError, "queries has shape [2, 8]"),
        ({"num_heads": 3}, ValueError, "num_heads is 3, expected a divisor"),
        ({"key": E(8, 7)}, ValueError, "weights.key has shape [8, 7], expected [8, 8]"),
        ({"out": E(8)}, ValueError, "weights.out has shape [8], expected [O, 8]"),
        ({"out_bias": E(8)}, ValueError, "weights.out_bias has shape [8], expected [5]"),
        ({"positions": (E(3, 8), None)}, ValueError, "weights.positions[0] has shape [3, 8], expected [4, 8]"),
        ({"input_biases": (None, E(6))}, ValueError, "weights.input_biases[1] has shape [6], expected [8]"),
        ({"gates": E(2, 3)}, ValueError, "gates has shape [2, 3], expected [2, 2]"),
        ({"masks": [None]}, ValueError, "masks has 1 entries, expected 2"),
        ({"masks": [None, E(3, 4, dtype=torch.bool)]}, ValueError, "masks[1] has shape [3, 4], expected [3, 5]"),
        ({"masks": [None, E(3, 5)]}, TypeError, "masks[1] is torch.float32, expected torch.bool"),
        ({"value": E(8, 8).double()}, TypeError, "weights.value is torch.float64, expected torch.float32"),
        ({"queries": E(1, 2, 8, dtype=torch.int64)}, TypeError, "queries is torch.int64, expected a floating dtype"),
        ({"key": E(8, 8, device="meta")}, ValueError, "weights.key is on meta, expected cpu"),
        ({"tokens": [E(3, 4, 6, device="meta"), E(3, 5, 8)]}, ValueError, "tokens[0] is on meta, expected cpu"),
        ({"impl": "fast"}, ValueError, "impl is 'fast', expected 'auto' or one of"),
        ({"backend": "cuda"}, ValueError, "backend is 'cuda', expected one of ['auto', 'torch', 'triton']"),
        ({"backend": "triton"}, RuntimeError, "backend='triton' cannot run here: "),
        ({"lengths": [None]}, ValueError, "lengths has 1 entries, expected 2"),
        ({"lengths": [E(3), None]}, TypeError, "lengths[0] is torch.float32, expected an integer dtype"),
        ({"lengths": [E(2, dtype=torch.int64), None]}, ValueError, "lengths[0] has shape [2], expected [3]"),
        (
            {"masks": [E(3, 4, dtype=torch.bool), None], "lengths": [E(3, dtype=torch.int64), None]},
            ValueError,
            "masks[0] and lengths[0] are both there, expected one of the two",
        ),
    ],
)
def test_a_wrong_argument_is_named(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call(**changes)
