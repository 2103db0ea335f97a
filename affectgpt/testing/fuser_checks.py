"""The checks of a fuser, one function each. A check raises AssertionError with what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.tokens import Tokens
from affectgpt.testing.cases import RAGGED, FuserCase, fuser_cases
from affectgpt.testing.kind_checks import KindChecks, by_name
from affectgpt.testing.round_trips import config_round_trip, state_round_trip

LENGTHS = (1, 7, 63)
ABSENT = ((7, 3, 5, 4), (4, 0, 6, 0), (0, 0, 0, 0), (0, 5, 0, 2))
"""Clips that lack something; the third lacks everything."""


def declared_interface(case: FuserCase) -> None:
    """What comes out has the shape, the width and the dtypes that `infer` declares."""
    for length in LENGTHS:
        declared, fuser = case.output_spec(length), case.build(length=length)
        streams = set(case.names)
        assert set(declared.modality.split("+")) == streams, (
            f"infer() says modality {declared.modality!r}; expected the inputs' joined by '+': {'+'.join(case.names)}"
        )
        for batch, masked in ((1, True), (3, False), (3, True)):
            inputs = case.tokens([[length] * case.count] * batch)
            if not masked:
                inputs = {name: Tokens(each.values) for name, each in inputs.items()}
            setup = f"batch {batch}, {length} tokens per input, mask {'given' if masked else 'None'}"
            out = run_seeded(fuser, inputs)
            assert isinstance(out, Tokens), f"{setup}: forward() gives {type(out).__name__}; expected Tokens"
            count = out.values.shape[1] if out.values.ndim == 3 else -1
            expected = [batch, declared.tokens if declared.exact else count, declared.dim]
            assert list(out.values.shape) == expected, (
                f"{setup}: values {list(out.values.shape)}; infer() declares {expected}"
            )
            assert count <= declared.tokens, f"{setup}: {count} tokens; infer() declares at most {declared.tokens}"
            assert out.values.dtype is torch.float32, f"{setup}: values are {out.values.dtype}; expected float32"
            assert out.values.isfinite().all(), f"{setup}: values are not finite"
            _check_optional(out.mask, [batch, count], torch.bool, f"{setup}: mask")
            assert out.valid().all() or not declared.exact, f"{setup}: real tokens are masked, yet infer() says exact"
            _check_optional(out.times, [batch, count], torch.float32, f"{setup}: times")
            _check_optional(out.attribution, [batch, case.count], torch.float32, f"{setup}: attribution")


def _check_optional(value: Tensor | None, shape: list[int], dtype: torch.dtype, what: str) -> None:
    if value is not None:
        actual = f"{list(value.shape)} {value.dtype}"
        assert list(value.shape) == shape and value.dtype is dtype, f"{what} {actual}; expected {shape} {dtype} or None"


def declared_parameters(case: FuserCase) -> None:
    """`parameters` of the config counts the module's weights, or says None."""
    declared = case.config().parameters(case.specs())
    count = sum(each.numel() for each in case.build().parameters())
    assert declared in (None, count), f"parameters() says {declared:,}; the module has {count:,}"


def padding_content(case: FuserCase) -> None:
    """What padded positions hold changes nothing, be it NaN."""
    fuser, clean = case.build(), case.tokens()
    expected = run_seeded(fuser, clean)
    for rubbish in (float("nan"), 1e30, float("-inf")):
        out = run_seeded(fuser, case.tokens(padding=rubbish))
        assert_same(out, expected, f"padding that holds {rubbish} instead of 0 changes", "use tokens.zeroed()")


def more_padding(case: FuserCase) -> None:
    """Longer padding changes nothing."""
    fuser = case.build()
    expected = run_seeded(fuser, case.tokens())
    assert_same(
        run_seeded(fuser, case.tokens(longest=20)),
        expected,
        "padding to 20 tokens changes",
        "count with tokens.valid()",
    )


def input_order(case: FuserCase) -> None:
    """The order in which the inputs' mapping lists them changes nothing."""
    fuser, inputs = case.build(), case.tokens()
    expected = run_seeded(fuser, inputs)
    try:
        out = run_seeded(fuser, dict(reversed(inputs.items())))
    except Exception as error:
        raise AssertionError(f"a mapping in another order fails: {error}; read the inputs by name") from error
    assert_same(out, expected, "a mapping in another order changes", "read the inputs by name")


def batch_rows(case: FuserCase) -> None:
    """A clip's result does not depend on the other clips of its batch, nor on their order."""
    fuser, inputs = case.build(), case.tokens()
    together = run_seeded(fuser, inputs)
    for order in (torch.tensor([2, 0, 1]), *torch.arange(len(RAGGED)).split(1)):
        out = run_seeded(fuser, {name: _select_clips(each, order) for name, each in inputs.items()})
        what = f"clips {order.tolist()} of a batch by themselves change"
        assert_same(out, _select_clips(together, order), what, "no statistics over the batch")


def _select_clips(tokens: Tokens, index: Tensor) -> Tokens:
    optional = (None if each is None else each[index] for each in (tokens.mask, tokens.times, tokens.attribution))
    return Tokens(tokens.values[index], *optional)


def absent_input(case: FuserCase) -> None:
    """A clip that lacks inputs gives finite tokens and gradients; one that lacks all gives a False mask."""
    fuser = case.build()
    inputs = case.tokens(ABSENT, grad=True)
    out = run_seeded(fuser, inputs)
    finite = out.values.isfinite().all() and (out.times is None or out.times.isfinite().all())
    assert finite, "values or times are not finite for a clip that lacks an input"
    has_input = [any(row[: case.count]) for row in ABSENT]
    has_token = out.valid().any(dim=1).tolist()
    assert has_token == has_input, (
        f"clips with a real token: {has_token}; expected {has_input}, those that have any input"
    )
    share = out.attribution
    if share is not None:
        present = torch.tensor([[length > 0 for length in row[: case.count]] for row in ABSENT])
        assert not share[~present].any(), "attribution counts an input that the clip lacks"
    (out.values * out.valid()[..., None]).square().sum().backward()
    for name, gradient in _gradients(fuser, inputs).items():
        assert gradient is None or gradient.isfinite().all(), (
            f"the gradient of {name} is not finite with an absent input"
        )
    filled = case.tokens(ABSENT, padding=3.0)
    assert_same(run_seeded(fuser, filled), out, "what an absent input's positions hold changes", "use tokens.zeroed()")
    nobody = case.tokens(((0,) * 4,) * 2)
    assert run_seeded(fuser, nobody).values.isfinite().all(), "values are not finite when all clips lack all inputs"


def every_input_counts(case: FuserCase) -> None:
    """Each input changes the result and gets a gradient, at its real tokens only."""
    fuser, inputs = case.build(), case.tokens(grad=True)
    out = run_seeded(fuser, inputs)
    weights = torch.randn(out.values.shape, generator=torch.Generator().manual_seed(5))
    (out.values * weights * out.valid()[..., None]).sum().backward()
    for name, tokens in inputs.items():
        grad = tokens.values.grad
        assert grad is not None and grad[tokens.valid()].any(), f"the input {name!r} gets no gradient"
        assert not grad[~tokens.valid()].any(), f"padding of the input {name!r} gets a gradient"
        changed = {**inputs, name: Tokens(tokens.values.detach() * 0.5 + 0.7, tokens.mask, tokens.times)}
        assert not torch.equal(run_seeded(fuser, changed).values, out.values), f"the input {name!r} changes nothing"


def parameter_gradients(case: FuserCase) -> None:
    """Every trainable parameter gets a finite gradient, and some of them one that is not 0."""
    fuser, grads = case.build().train(), {}
    out = run_seeded(fuser, case.tokens())
    trained = {name: parameter for name, parameter in fuser.named_parameters() if parameter.requires_grad}
    if not trained:
        return
    weights = torch.randn(out.values.shape, generator=torch.Generator().manual_seed(5))
    (out.values * weights * out.valid()[..., None]).sum().backward()
    for name, parameter in trained.items():
        assert parameter.grad is not None, f"the parameter {name!r} gets no gradient; remove it, or use it"
        assert parameter.grad.isfinite().all(), f"the gradient of {name!r} is not finite"
        grads[name] = bool(parameter.grad.any())
    assert any(grads.values()), "every gradient is 0"


def repeated_backward(case: FuserCase) -> None:
    """In training, the same inputs and seed give the same gradients twice."""
    fuser = case.build().train()
    results = []
    for _ in range(2):
        fuser.zero_grad()
        inputs = case.tokens(grad=True)
        run_seeded(fuser, inputs).values.square().sum().backward()
        results.append({name: grad for name, grad in _gradients(fuser, inputs).items() if grad is not None})
    first, second = results
    for name, grad in first.items():
        near = torch.allclose(grad, second[name], rtol=1e-5, atol=1e-7)
        assert near, f"the gradient of {name} differs the second time; forward() must not keep a state"


def _gradients(fuser: Any, inputs: Mapping[str, Tokens]) -> dict[str, Tensor | None]:
    grads = {f"the parameter {name!r}": tensor.grad for name, tensor in fuser.named_parameters()}
    grads |= {f"the input {name!r}": tensor.values.grad for name, tensor in inputs.items()}
    return {name: None if grad is None else grad.clone() for name, grad in grads.items()}


def deterministic_evaluation(case: FuserCase) -> None:
    """In evaluation mode, the same inputs give the same result without a seed."""
    fuser, inputs = case.build(), case.tokens()
    with torch.no_grad():
        first, second = fuser(inputs), fuser(inputs)
    assert torch.equal(first.values, second.values), "two calls in evaluation mode differ; is dropout always on?"


def untouched_inputs(case: FuserCase) -> None:
    """Nothing is written into the inputs."""
    fuser = case.build()
    inputs, before = case.tokens(padding=3.0), case.tokens(padding=3.0)
    with torch.no_grad():
        run_seeded(fuser, inputs)
    for name, tokens in before.items():
        after = inputs[name]
        same_values = torch.equal(after.values, tokens.values) and torch.equal(after.valid(), tokens.valid())
        assert same_values, f"forward() writes into the input {name!r}"


def state_dict(case: FuserCase) -> None:
    """A state dict loaded into another module of the same config gives the same results."""
    first, second = case.build(seed=0), case.build(seed=1)
    inputs = case.tokens()
    state_round_trip(first, second, lambda module: run_seeded(module, inputs).values)


def config_json(case: FuserCase) -> None:
    """The config survives JSON."""
    config_round_trip(case.config())


def bfloat16_autocast(case: FuserCase) -> None:
    """Forward and backward run under bfloat16 autocast and stay near float32."""
    fuser, inputs = case.build(), case.tokens(grad=True)
    expected = run_seeded(fuser, inputs)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            out = run_seeded(fuser, inputs)
        out.values.float().square().sum().backward()
    except RuntimeError as error:
        raise AssertionError(f"it fails under bfloat16 autocast: {error}") from error
    assert out.values.isfinite().all(), "values are not finite under bfloat16 autocast"
    far = (out.values.float() - expected.values)[expected.valid()].detach().norm()
    size = expected.values[expected.valid()].detach().norm()
    assert far <= 0.1 * size + 1e-3, f"bfloat16 is off by {far / size:.0%} of the result's norm"


def attribution_shares(case: FuserCase) -> None:
    """Attributions, where given, are shares: not negative, 1 in sum, without a gradient."""
    share = run_seeded(case.build(), case.tokens()).attribution
    if share is None:
        return
    assert not share.requires_grad, "attribution has a gradient; detach it"
    assert (share >= 0).all(), f"attribution is negative: {share.min():.3g}"
    total = share.sum(dim=1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5), f"attributions sum to {total.tolist()}; expected 1"


def compiled(case: FuserCase) -> None:
    """`torch.compile(fullgraph=True)` works and gives the same."""
    fuser, inputs = case.build(), case.tokens()
    torch._dynamo.reset()
    try:
        with torch.no_grad():
            out = torch.compile(copy.deepcopy(fuser), fullgraph=True)(inputs)
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise AssertionError(f"torch.compile(fullgraph=True) fails: {first}") from error
    assert_same(out, run_seeded(fuser, inputs), "compiled, it changes", "", tolerance=1e-4)


CHECKS = by_name(
    declared_interface,
    declared_parameters,
    padding_content,
    more_padding,
    input_order,
    batch_rows,
    absent_input,
    every_input_counts,
    parameter_gradients,
    repeated_backward,
    deterministic_evaluation,
    untouched_inputs,
    state_dict,
    config_json,
    bfloat16_autocast,
    attribution_shares,
    compiled,
)
"""Every check of a fuser by its name."""
SLOW = ("compiled",)
"""Names of the checks that take seconds."""
KIND_CHECKS = KindChecks(
    CHECKS,
    cases=lambda catalog, name, options, variants: list(fuser_cases(catalog, name, options, variants=variants)),
    slow=SLOW,
)


def run_seeded(fuser: Any, inputs: Mapping[str, Tokens]) -> Tokens:
    """`fuser(inputs)` from a fixed seed, so that chance is left to the check that is about it."""
    torch.manual_seed(3)
    out: Tokens = fuser(inputs)
    return out


def assert_same(actual: Tokens, expected: Tokens, what: str, hint: str, tolerance: float = 1e-5) -> None:
    """Assert that all that may be read is equal: real tokens, their times, attributions."""
    hint = f"; {hint}" if hint else ""
    for name in ("values", "times", "attribution"):
        one, reference = getattr(actual, name), getattr(expected, name)
        assert (one is None) == (reference is None), f"{what} whether there are {name}"
        if one is None:
            continue
        if name != "attribution":
            counts = [each.valid().sum(dim=1).tolist() for each in (actual, expected)]
            assert counts[0] == counts[1], f"{what} the number of tokens: {counts[0]} and {counts[1]}{hint}"
            one, reference = one[actual.valid()], reference[expected.valid()]
        off = (one.detach().float() - reference.detach().float()).abs()
        bound = tolerance * (1 + reference.detach().float().abs())
        assert (off <= bound).all(), f"{what} {name} by up to {off.max().item():.2g}{hint}"
