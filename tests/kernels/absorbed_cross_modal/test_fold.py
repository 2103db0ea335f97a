"""The cache of weight products is never stale."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from affectgpt.kernels import absorbed_cross_modal_attention
from affectgpt.kernels.absorbed_cross_modal import Fold, FusionWeights, fold


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 2, 8))
        self.e, self.q, self.k, self.v, self.o = (nn.Parameter(torch.randn(8, 8) / 3) for _ in range(5))
        self.p = nn.Parameter(torch.randn(3, 8))
        self.cache = Fold()

    def forward(self, x: torch.Tensor, cached: bool = True) -> torch.Tensor:
        weights = FusionWeights((self.e,), self.q, self.k, self.v, self.o, positions=(self.p,))
        return absorbed_cross_modal_attention(
            self.queries, [x], weights, num_heads=2, impl="folded", cache=self.cache if cached else None
        )[0]


def step(layer: Layer, **options: bool) -> None:
    layer(torch.ones(1, 3, 8)).sum().backward()
    torch.optim.AdamW(layer.parameters(), lr=0.1, **options).step()


CHANGES: dict[str, Callable[[Layer], object]] = {
    "adamw": step,
    "adamw foreach": lambda layer: step(layer, foreach=True),
    "adamw fused": lambda layer: step(layer, fused=True),
    "load_state_dict": lambda layer: layer.load_state_dict(Layer().state_dict()),
    "new parameter": lambda layer: setattr(layer, "e", nn.Parameter(torch.randn(8, 8))),
    "new memory": lambda layer: setattr(layer.v, "data", torch.randn(8, 8)),
    "learned queries": lambda layer: nn.init.normal_(layer.queries),
    "position": lambda layer: nn.init.normal_(layer.p),
    "dtype": lambda layer: layer.double().float(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_weight_is_noticed(change: str) -> None:
    layer, x = Layer(), torch.randn(2, 3, 8)
    with torch.no_grad():
        before = layer(x)
    CHANGES[change](layer)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), layer(x, cached=False), atol=1e-6, rtol=0)
        if change != "dtype":
            assert not torch.allclose(layer(x), before)


def test_products_are_kept_only_while_no_weight_needs_a_gradient() -> None:
    layer, x = Layer(), torch.randn(2, 3, 8)
    layer(x)
    assert layer.cache._folded is None
    with torch.no_grad():
        layer(x)
        products = layer.cache._folded
        layer(x)
    assert products is not None and layer.cache._folded is products
    layer(x).sum().backward()
    assert layer.e.grad is not None and layer.queries.grad is not None


def test_products_made_in_inference_mode_serve_training_later() -> None:
    layer, x = Layer().requires_grad_(False), torch.randn(2, 3, 8)
    with torch.inference_mode():
        layer(x)
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None


def test_a_copy_starts_empty() -> None:
    layer = Layer()
    with torch.no_grad():
        layer(torch.randn(1, 3, 8))
    assert copy.deepcopy(layer).cache._folded is None
    assert pickle.loads(pickle.dumps(layer)).cache._folded is None


def given_products(layer: Layer, **options: object) -> torch.Tensor:
    """The layer's result by products from the caller, made before any gradient is needed."""
    weights = FusionWeights((layer.e,), layer.q, layer.k, layer.v, layer.o, positions=(layer.p,))
    with torch.no_grad():
        options.setdefault("folded", fold(weights, layer.queries))
    x = torch.ones(2, 3, 8)
    return absorbed_cross_modal_attention(layer.queries, [x], weights, num_heads=2, **options)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", ["auto", "folded", "folded_project"])
def test_products_of_the_caller_are_used_as_they_are(impl: str) -> None:
    layer = Layer().requires_grad_(False)
    expected = layer(torch.ones(2, 3, 8), cached=False)
    torch.testing.assert_close(given_products(layer, impl=impl), expected, atol=1e-6, rtol=1e-5)
    weights = FusionWeights((layer.e,), layer.q, layer.k, layer.v, layer.o, positions=(layer.p,))
    products = fold(weights, layer.queries)
    doubled = products._replace(values=tuple(value * 2 for value in products.values))
    assert not torch.allclose(given_products(layer, impl=impl, folded=doubled), expected)


@pytest.mark.parametrize("trained", ["e", "queries"])
def test_products_of_the_caller_are_refused_where_they_would_stop_a_gradient(trained: str) -> None:
    layer = Layer().requires_grad_(False)
    getattr(layer, trained).requires_grad_()
    with pytest.raises(ValueError, match=r"folded is there and \w+ ?\w* needs a gradient"):
        given_products(layer)
    with torch.no_grad():
        given_products(layer)


def test_products_of_the_caller_that_do_not_fit_are_refused() -> None:
    layer = Layer().requires_grad_(False)
    weights = FusionWeights((layer.e,), layer.q, layer.k, layer.v, layer.o, positions=(layer.p,))
    products = fold(weights, layer.queries)
    for changes, message in (
        ({"impl": "absorbed"}, "folded is there and impl is 'absorbed'"),
        ({"cache": Fold()}, "cache and folded are both there"),
        ({"folded": products._replace(keys=())}, "folded.keys has 0 entries, expected 1"),
        ({"folded": products._replace(values=(torch.ones(8, 7),))}, r"folded.values\[0\] has shape \[8, 7\]"),
        ({"folded": products._replace(key_offsets=(None,))}, r"folded.key_offsets\[0\] does not fit the weights"),
        ({"folded": products._replace(queries=torch.ones(1, 3, 8))}, r"folded.queries has shape \[1, 3, 8\]"),
    ):
        with pytest.raises(ValueError, match=message):
            given_products(layer, **changes)


def test_a_compiled_evaluation_makes_no_products_of_weights() -> None:
    """An unchanged result after the weights of the products changed: they were not made again."""
    layer = Layer().requires_grad_(False)
    weights = FusionWeights((layer.e,), layer.q, layer.k, layer.v, layer.o, positions=(layer.p,))
    products = fold(weights, layer.queries)
    compiled = torch.compile(absorbed_cross_modal_attention, fullgraph=True, backend="aot_eager")
    call = {"num_heads": 2, "impl": "folded", "folded": products}
    first = compiled(layer.queries, [torch.ones(2, 3, 8)], weights, **call)[0]
    layer.e.add_(1.0)
    torch.testing.assert_close(compiled(layer.queries, [torch.ones(2, 3, 8)], weights, **call)[0], first)
