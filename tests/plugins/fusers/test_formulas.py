"""The built-in fusers against their formulas, written out per clip in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.concat import Concat
from affectgpt.plugins.fusers.concat_config import ConcatConfig
from affectgpt.plugins.fusers.mean import Mean
from affectgpt.plugins.fusers.mean_config import MeanConfig
from affectgpt.plugins.fusers.modality_attention import ModalityAttention
from affectgpt.plugins.fusers.modality_attention_config import ModalityAttentionConfig
from affectgpt.plugins.fusers.temporal_attention import TemporalAttention
from affectgpt.plugins.fusers.temporal_attention_config import TemporalAttentionConfig

Array = NDArray[np.float64]
FACE = TokenSpec(modality="face", dim=6, tokens=9)
AUDIO = TokenSpec(modality="audio", dim=4, tokens=9, exact=False)


def sequence(lengths: list[int], dim: int, seed: int) -> Tokens:
    """Rows of `lengths` random tokens; what pads them is not 0."""
    generator = torch.Generator().manual_seed(seed)
    total = max(lengths)
    values = torch.randn(len(lengths), total, dim, generator=generator)
    times = torch.rand(len(lengths), total, generator=generator)
    return Tokens(values, torch.arange(total)[None] < torch.tensor(lengths)[:, None], times)


def real(tokens: Tokens, row: int) -> Array:
    return tokens.values[row][tokens.valid()[row]].double().numpy()


def linear(layer: Any, values: Array) -> Array:
    return values @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


def build(target: Any, config: Any, **specs: TokenSpec) -> Any:
    torch.manual_seed(0)
    return target(config, specs, config.infer(specs)).eval()


def close(result: torch.Tensor, expected: Array) -> None:
    np.testing.assert_allclose(result.detach().double().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_mean_averages_tokens_and_times() -> None:
    tokens = sequence([5, 9, 1], 6, 1)
    out = build(Mean, MeanConfig(inputs=["face"]), face=FACE)({"face": tokens})
    for row in range(3):
        close(out.values[row, 0], real(tokens, row).mean(axis=0))
        close(out.times[row, 0], tokens.times[row][tokens.valid()[row]].double().numpy().mean())


def test_times_stay_unknown() -> None:
    unknown = Tokens(torch.randn(2, 3, 6))
    assert build(Mean, MeanConfig(inputs=["face"]), face=FACE)({"face": unknown}).times is None
    both = build(Concat, ConcatConfig(inputs=["face", "other"]), face=FACE, other=FACE)
    assert both({"face": unknown, "other": sequence([3, 2], 6, 2)}).times is None


@pytest.mark.parametrize("normalize", ["softmax", "none"])
def test_temporal_attention_weighs_each_token(normalize: str) -> None:
    tokens = sequence([5, 9, 1], 6, 2)
    fuser = build(TemporalAttention, TemporalAttentionConfig(inputs=["face"], normalize=normalize), face=FACE)
    out = fuser({"face": tokens})
    for row in range(3):
        values = real(tokens, row)
        scores = linear(fuser.score, values)[:, 0]
        close(out.values[row, 0], (softmax(scores) if normalize == "softmax" else scores) @ values)


@pytest.mark.parametrize("normalize", ["softmax", "none"])
def test_modality_attention_weighs_each_modality(normalize: str) -> None:
    inputs = {"face": sequence([5, 9, 1, 0, 3], 6, 3), "audio": sequence([2, 1, 7, 2, 0], 4, 4)}
    config = ModalityAttentionConfig(inputs=["face", "audio"], normalize=normalize)
    fuser = build(ModalityAttention, config, face=FACE, audio=AUDIO)
    out = fuser(inputs)
    for row in range(5):
        # An absent modality is a vector of zeros to the scores, and has no weight.
        entries = [bool(item.valid()[row].any()) for item in inputs.values()]
        pooled = np.stack(
            [
                linear(layer, real(item, row).mean(axis=0)) if present else np.zeros(6)
                for layer, item, present in zip(fuser.projections, inputs.values(), entries, strict=True)
            ]
        )
        scores = linear(fuser.score, linear(fuser.mix, pooled.reshape(-1)))
        weights = np.zeros(2)
        weights[entries] = softmax(scores[entries]) if normalize == "softmax" else scores[entries]
        close(out.values[row, 0], weights @ pooled)
        size = np.abs(weights) * np.linalg.norm(pooled, axis=1)
        close(out.attribution[row], size / size.sum())


def test_modality_attention_gives_all_weight_to_the_only_modality_that_is_there() -> None:
    face = sequence([5, 9], 6, 3)
    absent = Tokens(torch.full((2, 1, 4), float("nan")), torch.zeros(2, 1, dtype=torch.bool))
    fuser = build(ModalityAttention, ModalityAttentionConfig(inputs=["face", "audio"]), face=FACE, audio=AUDIO)
    out = fuser({"face": face, "audio": absent})
    for row in range(2):
        close(out.values[row, 0], linear(fuser.projections[0], real(face, row).mean(axis=0)))
    assert out.attribution.tolist() == [[1.0, 0.0]] * 2 and out.valid().all()


def test_concat_keeps_every_token_in_the_order_of_the_config() -> None:
    inputs = {"face": sequence([5, 9], 6, 5), "audio": sequence([2, 1], 4, 6)}
    fuser = build(Concat, ConcatConfig(inputs=["audio", "face"]), audio=AUDIO, face=FACE)
    out = fuser(inputs)
    assert list(fuser.widen) == ["audio"]
    for row in range(2):
        expected = np.concatenate([linear(fuser.widen["audio"], real(inputs["audio"], row)), real(inputs["face"], row)])
        close(out.values[row][out.valid()[row]], expected)
        times = [inputs[name].times[row][inputs[name].valid()[row]] for name in ("audio", "face")]
        assert torch.equal(out.times[row][out.valid()[row]], torch.cat(times))


@pytest.mark.parametrize("target,config", [(Concat, ConcatConfig), (ModalityAttention, ModalityAttentionConfig)])
@pytest.mark.parametrize(("dim", "width"), [(None, 6), (10, 10)])
def test_the_width_is_the_widest_inputs_or_the_one_asked_for(
    target: Any, config: Callable[..., Any], dim: int | None, width: int
) -> None:
    built_model = config(inputs=["face", "audio"], dim=dim)
    declared = built_model.infer({"face": FACE, "audio": AUDIO})
    out = build(target, built_model, face=FACE, audio=AUDIO)(
        {"face": sequence([3], 6, 1), "audio": sequence([2], 4, 1)}
    )
    assert declared.dim == out.values.shape[2] == width
    assert declared.exact is (target is ModalityAttention)
