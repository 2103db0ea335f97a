"""What holds for every implementation that runs on any machine, and what the operator refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgpt.kernels import cross_modal_attention
from tests.kernels.cross_modal.cases import CASES, close, make, run

IMPLS = ("reference", "sdpa")


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_equals_float64(options: dict[str, Any], impl: str) -> None:
    close(make(**options), impl)


@pytest.mark.parametrize("impl", IMPLS)
def test_bfloat16(impl: str) -> None:
    close(make(dtype=torch.bfloat16), impl)


def test_reference_is_a_softmax_written_out() -> None:
    """One head, by hand: the only test that does not trust the reference."""
    case = make(heads=1, kv_heads=1, lengths=(3, 2), masked=False, shared=False).double()
    assert case.biases is not None
    out, mass = cross_modal_attention(case.queries, case.keys, case.values, biases=case.biases, impl="reference")
    scores = [
        [float(case.queries[1, 0, 2] @ key[1, 0, t]) / 4 + float(case.biases[0, m]) for t in range(key.shape[2])]
        for m, key in enumerate(case.keys)
    ]
    powers = [[torch.tensor(score).exp() for score in row] for row in scores]
    total = sum(power for row in powers for power in row)
    expected = sum(
        power / total * case.values[m][1, 0, t] for m, row in enumerate(powers) for t, power in enumerate(row)
    )
    assert torch.allclose(out[1, 0, 2], torch.as_tensor(expected), atol=1e-6)
    assert torch.allclose(mass[1, 0, 2], torch.stack([sum(row) / total for row in powers]).double(), atol=1e-6)


@pytest.mark.parametrize("impl", IMPLS)
def test_gradients(impl: str) -> None:
    case = make(heads=2, kv_heads=1, queries=2, width=3, lengths=(3, 2), masked=False).double()
    masks = [torch.tensor([[True, False, True], [False] * 3]), torch.tensor([[True, True], [False] * 2])]
    leaves = [leaf.clone().requires_grad_() for leaf in case.leaves()]

    def attend(queries: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return cross_modal_attention(queries, rest[:2], rest[2:4], masks=masks, biases=rest[4], impl=impl)

    assert torch.autograd.gradcheck(attend, leaves)


@pytest.mark.parametrize("impl", IMPLS)
def test_nothing_to_attend_gives_zeros(impl: str) -> None:
    case = make()
    out, mass, *gradients = run(case, impl)
    assert not out[0].any() and not mass[0].any() and out[1].any()
    for gradient in gradients[1:7]:
        assert not gradient[0].any()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("impl", IMPLS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 9), lengths=st.lists(st.integers(0, 9), min_size=1, max_size=3))
def test_laws(impl: str, seed: int, cut: int, lengths: list[int]) -> None:
    """Mass sums to one or zero; the order of tokens is nothing; a modality cut in two shares its mass."""
    case = make(lengths=(9, *lengths), gates=False, masked=False, seed=seed).double()
    masks = [torch.rand(2, key.shape[2], generator=torch.Generator().manual_seed(seed)) > 0.5 for key in case.keys]
    out, mass = cross_modal_attention(case.queries, case.keys, case.values, masks=masks, impl=impl)
    has_token = torch.cat(masks, dim=1).any(dim=1).double()
    assert torch.allclose(mass.sum(-1), has_token[:, None, None].expand_as(mass.sum(-1)))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    keys, values = [case.keys[0][:, :, order], *case.keys[1:]], [case.values[0][:, :, order], *case.values[1:]]
    mixed = cross_modal_attention(case.queries, keys, values, masks=[masks[0][:, order], *masks[1:]], impl=impl)
    assert torch.allclose(mixed[0], out) and torch.allclose(mixed[1], mass)
    first, second = slice(None, cut), slice(cut, None)
    separate = cross_modal_attention(
        case.queries,
        [case.keys[0][:, :, first], case.keys[0][:, :, second], *case.keys[1:]],
        [case.values[0][:, :, first], case.values[0][:, :, second], *case.values[1:]],
        masks=[masks[0][:, first], masks[0][:, second], *masks[1:]],
        impl=impl,
    )
    assert torch.allclose(separate[0], out)
    assert torch.allclose(separate[1][..., :2].sum(-1), mass[..., 0])


@pytest.mark.parametrize("impl", IMPLS)
def test_lengths_are_masks(impl: str) -> None:
    case = make(masked=False, lengths=(7, 9))
    lengths = [torch.tensor([3, 7]), None]
    masks = [torch.arange(7) < torch.tensor([[3], [7]]), None]
    by_length = cross_modal_attention(case.queries, case.keys, case.values, lengths=lengths, impl=impl)
    by_mask = cross_modal_attention(case.queries, case.keys, case.values, masks=masks, impl=impl)
    assert torch.equal(by_length[0], by_mask[0]) and torch.equal(by_length[1], by_mask[1])
    reference_result = cross_modal_attention(case.queries, case.keys, case.values, impl=impl)
    assert not torch.equal(by_length[0][0], reference_result[0][0])


def test_autocast_casts() -> None:
    case = make(masked=False)
    with torch.autocast("cpu", torch.bfloat16):
        out, mass = cross_modal_attention(case.queries, case.keys, case.values, biases=case.biases)
    assert out.dtype == torch.bfloat16 and mass.dtype == torch.float32


def refused(part: str, error: type[Exception] = ValueError, **changed: Any) -> None:
    case = make(masked=False, lengths=(7, 9))
    arguments = {"queries": case.queries, "keys": case.keys, "values": case.values, **changed}
    with pytest.raises(error, match=part):
        cross_modal_attention(arguments.pop("queries"), arguments.pop("keys"), arguments.pop("values"), **arguments)


def test_what_is_refused() -> None:
    tokens = [torch.zeros(2, 2, 7, 16), torch.zeros(2, 2, 9, 16)]
    refused(r"queries: \[4, 3, 16\]; expected \[B or 1, H, Q, d\]", queries=torch.zeros(4, 3, 16))
    refused("queries: list; expected a tensor", TypeError, queries=[1])
    refused("queries: torch.int64; expected float32", queries=torch.zeros(1, 4, 3, 16, dtype=torch.int64))
    refused("queries: a batch of 3; expected 2, as in keys, or 1", queries=torch.zeros(3, 4, 3, 16))
    refused("queries: 129 queries; expected 1 to 128", queries=torch.zeros(1, 4, 129, 16))
    refused("queries: heads of width 257; expected a width from 1 to 256", queries=torch.zeros(1, 4, 3, 257))
    refused(r"keys\[0\]: 2 heads; expected a number that divides the 3 heads", queries=torch.zeros(1, 3, 3, 16))
    refused("keys: 0 modalities; expected 1 to 8", keys=[], values=[])
    refused("keys: 9 modalities; expected 1 to 8", keys=[tokens[0]] * 9, values=[tokens[0]] * 9)
    refused("values: 1 tensors; expected 2, as many as keys", values=tokens[:1])
    refused(r"keys\[1\]: \[2, 2, 9, 8\]; expected \[2, 2, T, 16\]", keys=[tokens[0], torch.zeros(2, 2, 9, 8)])
    refused(r"values\[1\]: \[2, 2, 8, 16\]; expected \[2, 2, 9, 16\]", values=[tokens[0], torch.zeros(2, 2, 8, 16)])
    refused(r"keys\[1\]: torch.float16; expected torch.float32, as queries", keys=[tokens[0], tokens[1].half()])
    refused(r"values\[0\]: on meta; expected cpu, as queries", values=[tokens[0].to("meta"), tokens[1]])
    refused("masks: 1 entries; expected 2", masks=[None])
    refused(r"masks\[1\]: torch.int64; expected torch.bool", masks=[None, torch.ones(2, 9, dtype=torch.int64)])
    refused(r"masks\[0\]: \[2, 9\]; expected \[2, 7\]", masks=[torch.ones(2, 9, dtype=torch.bool), None])
    refused(r"lengths\[0\]: torch.float32; expected an integer dtype", lengths=[torch.ones(2), None])
    refused(r"lengths\[0\]: \[3\]; expected \[2\]", lengths=[torch.ones(3, dtype=torch.int64), None])
    both = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, dtype=torch.int64)
    refused(r"lengths\[0\]: a mask is given too", masks=[both[0], None], lengths=[both[1], None])
    refused(r"biases: \[2, 4\]; expected \[4, 2\]", biases=torch.zeros(2, 4))
    refused("scale: str; expected a number", TypeError, scale="1")
    refused("impl: 'cuda'; expected one of auto, reference, sdpa, triton", impl="cuda")
    refused('impl="triton" cannot run here', RuntimeError, impl="triton")
