"""What every fuser that discovery finds must keep, whatever it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from affectgpt.core.tokens import Tokens

MIXED = [[7, 3, 5], [1, 7, 2], [4, 0, 6], [0, 0, 0], [0, 5, 0]]
"""Rows of different lengths: one lacks the second input, one the first and third, one everything."""

Make = Callable[..., dict[str, Tokens]]


def real(tokens: Tokens) -> list[Tensor]:
    """The real tokens of each row."""
    return [values[mask] for values, mask in zip(tokens.values, tokens.valid(), strict=True)]


def assert_same(found: Tokens, expected: Tokens) -> None:
    """Equal in everything that may be read: real tokens, their times, attributions."""
    torch.testing.assert_close(real(found), real(expected), rtol=1e-5, atol=1e-6)
    assert (found.times is None) == (expected.times is None)
    if found.times is not None and expected.times is not None:
        times = [[t[m] for t, m in zip(each.times, each.valid(), strict=True)] for each in (found, expected)]
        torch.testing.assert_close(*times)
    assert (found.attribution is None) == (expected.attribution is None)
    if found.attribution is not None:
        torch.testing.assert_close(found.attribution, expected.attribution, rtol=1e-5, atol=1e-6)


def dirty(inputs: Mapping[str, Tokens], rubbish: float) -> dict[str, Tokens]:
    """`inputs` with `rubbish` where the mask is False."""
    return {
        name: Tokens(
            each.values.masked_fill(~each.valid()[..., None], rubbish), each.mask,
            each.times.masked_fill(~each.valid(), rubbish),
        )
        for name, each in inputs.items()
    }  # fmt: skip


@pytest.mark.parametrize("masked", [True, False], ids=["mask", "no-mask"])
@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_declared_interface_is_what_comes_out(
    case: Any, make_tokens: Make, batch: int, length: int, masked: bool
) -> None:
    inputs = make_tokens(case, [[length] * 3] * batch)
    if not masked:
        inputs = {name: Tokens(each.values) for name, each in inputs.items()}
    declared = case.config().infer(case.specs(length))
    out = case.build(length)(inputs)
    count = out.values.shape[1]
    assert out.values.shape == (batch, count, declared.dim)
    assert count == declared.tokens if declared.exact else count <= declared.tokens
    assert out.values.dtype is torch.float32 and out.values.isfinite().all()
    assert out.valid().shape == (batch, count) and out.valid().dtype is torch.bool
    assert out.valid().all() or not declared.exact
    if out.times is not None:
        assert out.times.shape == (batch, count) and out.times.dtype is torch.float32
    if out.attribution is not None:
        assert out.attribution.shape == (batch, case.count) and out.attribution.is_floating_point()


def test_the_modality_names_every_stream_that_goes_in(case: Any) -> None:
    specs = case.specs(7)
    assert set(case.config().infer(specs).modality.split("+")) == set(specs)


@pytest.mark.parametrize("rubbish", [float("nan"), 1e30, float("-inf")])
def test_what_padding_holds_changes_nothing(case: Any, make_tokens: Make, rubbish: float) -> None:
    fuser, clean = case.build(), make_tokens(case, MIXED)
    out = fuser(dirty(clean, rubbish))
    assert_same(out, fuser(clean))
    assert out.values.isfinite().all()


def test_more_padding_changes_nothing(case: Any, make_tokens: Make) -> None:
    fuser = case.build()
    assert_same(fuser(dirty(make_tokens(case, MIXED, longest=20), 3.0)), fuser(make_tokens(case, MIXED)))


def test_the_order_in_which_inputs_are_handed_over_changes_nothing(case: Any, make_tokens: Make) -> None:
    fuser, inputs = case.build(), make_tokens(case, MIXED)
    assert_same(fuser(dict(reversed(inputs.items()))), fuser(inputs))


def test_a_row_does_not_depend_on_its_batch(case: Any, make_tokens: Make) -> None:
    fuser, inputs = case.build(), make_tokens(case, MIXED)
    together = fuser(inputs)
    order = torch.tensor([3, 0, 4, 2, 1])

    def rows(tokens: Tokens, index: Tensor) -> Tokens:
        given = (None if each is None else each[index] for each in (tokens.mask, tokens.times, tokens.attribution))
        return Tokens(tokens.values[index], *given)

    assert_same(fuser({name: rows(each, order) for name, each in inputs.items()}), rows(together, order))
    for row in range(len(MIXED)):
        one = torch.tensor([row])
        assert_same(fuser({name: rows(each, one) for name, each in inputs.items()}), rows(together, one))


def test_an_absent_input_is_finite_and_masked_only_where_all_are_absent(case: Any, make_tokens: Make) -> None:
    out = case.build()(make_tokens(case, MIXED))
    assert out.values.isfinite().all() and (out.times is None or out.times.isfinite().all())
    there = [any(row[: case.count]) for row in MIXED]
    assert out.valid().any(dim=1).tolist() == there


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "bfloat16"])
def test_every_parameter_and_real_token_gets_a_finite_gradient(case: Any, make_tokens: Make, mixed: bool) -> None:
    fuser = case.build().train()
    inputs = dirty(make_tokens(case, MIXED), float("nan"))
    for each in inputs.values():
        each.values.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        out = fuser(inputs)
    weights = torch.randn(out.values.shape, generator=torch.Generator().manual_seed(5))
    (out.values.float() * weights * out.valid()[..., None]).sum().backward()
    for name, parameter in fuser.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert not list(fuser.parameters()) or any(bool(each.grad.any()) for each in fuser.parameters())
    for name, each in inputs.items():
        assert each.values.grad is not None, name
        assert each.values.grad.isfinite().all() and each.values.grad[each.valid()].any(), name
        assert not each.values.grad[~each.valid()].any(), f"padding of {name} has a gradient"


def test_evaluation_is_deterministic_and_a_seed_gives_the_same_weights(case: Any, make_tokens: Make) -> None:
    inputs = make_tokens(case, MIXED)
    fuser, twin = case.build(seed=3), case.build(seed=3)
    first, second, third = fuser(inputs), fuser(inputs), twin(inputs)
    assert torch.equal(first.values, second.values) and torch.equal(first.values, third.values)


def test_what_is_handed_over_is_not_changed(case: Any, make_tokens: Make) -> None:
    inputs, untouched = make_tokens(case, MIXED), make_tokens(case, MIXED)
    case.build()(inputs)
    for name, each in untouched.items():
        assert torch.equal(inputs[name].values, each.values) and torch.equal(inputs[name].valid(), each.valid())


def test_the_declared_number_of_parameters_is_the_modules(case: Any) -> None:
    declared = case.config().parameters(case.specs(7))
    assert declared in (None, sum(each.numel() for each in case.build(7).parameters()))


def test_attributions_are_shares_of_what_is_there(case: Any, make_tokens: Make) -> None:
    share = case.build()(make_tokens(case, MIXED)).attribution
    if share is None:
        return
    there = torch.tensor([[length > 0 for length in row[: case.count]] for row in MIXED])
    assert (share >= 0).all() and not share.requires_grad
    assert not share[~there].any(), "what is absent counted"
    torch.testing.assert_close(share.sum(dim=1), there.any(dim=1).float(), rtol=0, atol=1e-6)


def test_some_fuser_reports_attributions(cases: tuple[Any, ...], make_tokens: Make) -> None:
    assert any(each.build()(make_tokens(each, MIXED)).attribution is not None for each in cases)
