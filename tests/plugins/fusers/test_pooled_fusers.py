"""The pooled fusers against their formulas, computed another way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.film import Film
from affectgpt.plugins.fusers.film_config import FilmConfig
from affectgpt.plugins.fusers.gated import Gated
from affectgpt.plugins.fusers.gated_config import GatedConfig
from affectgpt.plugins.fusers.low_rank_fusion import LowRankFusion
from affectgpt.plugins.fusers.low_rank_fusion_config import LowRankConfig
from affectgpt.plugins.fusers.mixture_of_experts import MixtureOfExperts
from affectgpt.plugins.fusers.mixture_of_experts_config import MixtureConfig
from affectgpt.plugins.fusers.tensor_fusion import TensorFusion
from affectgpt.plugins.fusers.tensor_fusion_config import TensorFusionConfig
from affectgpt.registry.errors import InterfaceError

WIDTHS = {"face": 5, "audio": 4, "frame": 3}
SPECS = {name: TokenSpec(modality=name, dim=dim, tokens=6) for name, dim in WIDTHS.items()}


def build(module: Any, config: Any, count: int = 3, **options: Any) -> Any:
    torch.manual_seed(1)
    specs = dict(itertools.islice(SPECS.items(), count))
    built_model = config(inputs=list(specs), **options)
    fuser = module(built_model, specs, built_model.infer(specs)).double().eval()
    with torch.no_grad():
        for weight in fuser.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return fuser


def one_token(count: int = 3, batch: int = 2) -> dict[str, Tokens]:
    torch.manual_seed(2)
    return {
        name: Tokens(torch.randn(batch, 1, dim, dtype=torch.float64))
        for name, dim in itertools.islice(WIDTHS.items(), count)
    }


def absent(tokens: Tokens) -> Tokens:
    return Tokens(torch.full_like(tokens.values, torch.nan), torch.zeros(tokens.values.shape[:2], dtype=torch.bool))


def test_tfn_is_a_linear_layer_on_all_products() -> None:
    fuser, inputs = build(TensorFusion, TensorFusionConfig, reduced=2, dim=4), one_token()
    reduced = [layer(item.values[:, 0]) for layer, item in zip(fuser.reduce, inputs.values(), strict=True)]
    for row in range(2):
        factors = [[*item[row].tolist(), 1.0] for item in reduced]
        products = [a * b * c for a, b, c in itertools.product(*factors)]
        expected = fuser.out(torch.tensor(products, dtype=torch.float64))
        torch.testing.assert_close(fuser(inputs).values[row, 0], expected)


def test_tfn_refuses_a_product_that_is_too_large() -> None:
    config = TensorFusionConfig(inputs=list(SPECS), reduced=200)
    with pytest.raises(InterfaceError, match=r"8,120,601 products"):
        config.infer(SPECS)


def test_lmf_is_tfn_with_the_tensor_of_its_factors() -> None:
    fuser, inputs = build(LowRankFusion, LowRankConfig, rank=3, dim=4), one_token()
    factors = []
    for layer, dim in zip(fuser.factors, WIDTHS.values(), strict=True):
        rows = torch.cat([layer.weight, layer.bias[:, None]], dim=1)
        factors.append(rows.view(3, 4, dim + 1))
    tensor = torch.einsum("r,rdi,rdj,rdk->dijk", fuser.weights, *factors)
    ones = torch.ones(2, 1, dtype=torch.float64)
    argument = [torch.cat([each.values[:, 0], ones], dim=1) for each in inputs.values()]
    expected = torch.einsum("dijk,bi,bj,bk->bd", tensor, *argument) + fuser.bias
    torch.testing.assert_close(fuser(inputs).values[:, 0], expected)


def test_gated_is_its_formula_and_reports_what_passed() -> None:
    fuser, inputs = build(Gated, GatedConfig, dim=4), one_token()
    together = torch.cat([item.values[:, 0] for item in inputs.values()], dim=1)
    parts: list[Tensor] = []
    for index, item in enumerate(inputs.values()):
        gate = torch.sigmoid(together @ fuser.gates[index].weight.T + fuser.gates[index].bias)
        parts.append(gate * torch.tanh(item.values[:, 0] @ fuser.embed[index].weight.T + fuser.embed[index].bias))
    out = fuser(inputs)
    torch.testing.assert_close(out.values[:, 0], parts[0] + parts[1] + parts[2])
    norms = torch.stack([part.norm(dim=1) for part in parts], dim=1)
    torch.testing.assert_close(out.attribution.double(), norms / norms.sum(dim=1, keepdim=True), rtol=1e-5, atol=1e-6)


def test_film_changes_the_first_inputs_tokens_by_the_others() -> None:
    fuser, inputs = build(Film, FilmConfig, hidden=7), one_token()
    inputs["face"] = Tokens(torch.randn(2, 6, 5, dtype=torch.float64), None, torch.rand(2, 6))
    first, _, last = fuser.modulate
    remaining = torch.cat([inputs["audio"].values[:, 0], inputs["frame"].values[:, 0]], dim=1)
    modulation = last(first(remaining).relu())
    out = fuser(inputs)
    for row, token in itertools.product(range(2), range(6)):
        face = inputs["face"].values[row, token]
        torch.testing.assert_close(out.values[row, token], (1 + modulation[row, :5]) * face + modulation[row, 5:])
    assert torch.equal(out.times, inputs["face"].times)


def test_film_without_the_others_changes_nothing_and_without_the_first_keeps_the_others() -> None:
    fuser, inputs = build(Film, FilmConfig), one_token()
    single = {**inputs, "audio": absent(inputs["audio"]), "frame": absent(inputs["frame"])}
    assert torch.equal(fuser(single).values, inputs["face"].values)
    faceless = {**inputs, "face": absent(inputs["face"])}
    out = fuser(faceless)
    second = {**faceless, "audio": Tokens(inputs["audio"].values + 1)}
    assert out.valid().tolist() == [[True], [True]] and not torch.allclose(out.values, fuser(second).values)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_moe_sums_the_best_experts(top: int) -> None:
    fuser, inputs = build(MixtureOfExperts, MixtureConfig, experts=4, top=top, dim=4), one_token()
    argument = torch.cat(
        [*(each.values[:, 0] for each in inputs.values()), torch.ones(2, 3, dtype=torch.float64)], dim=1
    )
    scores = fuser.router(argument).detach()
    for row in range(2):
        best = sorted(range(4), key=lambda expert: -float(scores[row, expert]))[:top]
        powers = {expert: float(scores[row, expert].exp()) for expert in best}
        expected = sum(
            power / sum(powers.values()) * fuser.experts[expert](argument[row]) for expert, power in powers.items()
        )
        torch.testing.assert_close(fuser(inputs).values[row, 0], expected, rtol=1e-5, atol=1e-6)


def test_moe_has_as_many_experts_as_it_picks() -> None:
    with pytest.raises(ValueError, match="top: 5 experts for each clip, but there are 4"):
        MixtureConfig(inputs=["face", "audio"], top=5)


@pytest.mark.parametrize(
    ("module", "config"),
    [
        (TensorFusion, TensorFusionConfig),
        (LowRankFusion, LowRankConfig),
        (Gated, GatedConfig),
        (MixtureOfExperts, MixtureConfig),
    ],
)
def test_what_an_absent_input_held_does_not_count(module: Any, config: Any) -> None:
    fuser, inputs = build(module, config), one_token()
    lost = fuser({**inputs, "audio": absent(inputs["audio"])})
    second = fuser({**inputs, "audio": absent(Tokens(inputs["audio"].values * 3))})
    assert torch.equal(lost.values, second.values) and lost.values.isfinite().all()
    assert not torch.allclose(lost.values, fuser(inputs).values)
