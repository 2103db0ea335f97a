"""`cross-attention` against its formula, written out per clip in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.cross_attention import CrossAttention
from affectgpt.plugins.fusers.cross_attention_config import CrossAttentionConfig
from affectgpt.registry.errors import InterfaceError

SPECS = {"face": TokenSpec(modality="face", dim=12, tokens=9), "audio": TokenSpec(modality="audio", dim=20, tokens=400)}


def build(**options: Any) -> CrossAttention:
    torch.manual_seed(0)
    config = CrossAttentionConfig(inputs=["face", "audio"], **{"queries": 3, "dim": 16, "heads": 2, **options})
    fuser = CrossAttention(config, SPECS, config.infer(SPECS)).double().eval()
    with torch.no_grad():
        for weight in fuser.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return fuser


def by_hand(fuser: Any, rows: dict[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """One clip: per input its real tokens `[T, D]` and their times `[T]` -> result `[Q, dim]`, shares `[M]`."""
    scores, values, sizes = [], [], []
    queries = fuser.query(fuser.queries[0]).view(3, 2, 8).transpose(0, 1)
    for index, (tokens, times) in enumerate(rows.values()):
        frequency = torch.tensor([10 ** (1 - 4 * k / 7) for k in range(8)], dtype=torch.float64)
        angles = 2 * math.pi * times[:, None] * frequency
        message = torch.cat([angles.sin(), angles.cos()], dim=1) @ fuser.when[index].weight.T
        read = fuser.read[index](fuser.norms[index](tokens) + message)
        keys = fuser.key(read).view(-1, 2, 8).transpose(0, 1)
        scores.append(queries @ keys.transpose(1, 2) / 8**0.5 + fuser.gates[:, index, None, None])
        values.append(fuser.value(read).view(-1, 2, 8).transpose(0, 1))
        sizes.append(tokens.shape[0])
    weights = torch.cat(scores, dim=2).softmax(dim=2)
    attended = (weights @ torch.cat(values, dim=1)).transpose(0, 1).reshape(3, 16)
    result = fuser.queries[0] + fuser.out(attended)
    first, widen, _, narrow = fuser.feed_forward
    result = fuser.norm(result + narrow(functional.gelu(widen(first(result)))))
    return result, torch.stack([part.sum(dim=2).mean() for part in weights.split(sizes, dim=2)])


@pytest.mark.parametrize("long", [5, 300])
def test_it_computes_its_formula(long: int) -> None:
    fuser = build()
    lengths = {"face": [9, 4], "audio": [3, long]}
    inputs, rows = {}, [{}, {}]
    for name, spec in SPECS.items():
        values = torch.randn(2, max(lengths[name]), spec.dim, dtype=torch.float64)
        times = torch.rand(2, max(lengths[name])).cumsum(1)
        mask = torch.arange(max(lengths[name])) < torch.tensor(lengths[name])[:, None]
        inputs[name] = Tokens(values, mask, times)
        for row in range(2):
            rows[row][name] = (values[row, mask[row]], times[row, mask[row]].double())
    out = fuser(inputs)
    for row in range(2):
        values, share = by_hand(fuser, rows[row])
        torch.testing.assert_close(out.values[row], values, rtol=1e-4, atol=1e-4)
        assert out.attribution is not None
        torch.testing.assert_close(out.attribution[row].double(), share, rtol=1e-4, atol=1e-5)


def test_a_gate_moves_the_attention() -> None:
    fuser = build()
    inputs = {name: Tokens(torch.randn(1, 4, spec.dim, dtype=torch.float64)) for name, spec in SPECS.items()}
    before = fuser(inputs).attribution
    assert fuser.gates is not None
    with torch.no_grad():
        fuser.gates[:, 1] += 3
    after = fuser(inputs).attribution
    assert after[0, 1] > before[0, 1] and after[0, 1] > 0.5
    assert build(gates=False).gates is None


def test_times_can_be_left_out() -> None:
    inputs = {
        name: Tokens(torch.randn(1, 4, spec.dim, dtype=torch.float64), None, torch.rand(1, 4))
        for name, spec in SPECS.items()
    }
    later = {name: Tokens(each.values, None, each.times + 1.7) for name, each in inputs.items()}
    for times, same in ((True, False), (False, True)):
        fuser = build(times=times)
        assert torch.equal(fuser(inputs).values, fuser(later).values) == same


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 16, "heads": 3}, "3 heads of a width of 16"),
        ({"dim": 1024, "heads": 2}, "at most 256 wide"),
    ],
)
def test_heads_that_do_not_fit_are_refused_before_there_are_weights(options: dict[str, int], message: str) -> None:
    with pytest.raises(InterfaceError, match=message):
        CrossAttentionConfig(inputs=["face", "audio"], **options).infer(SPECS)
