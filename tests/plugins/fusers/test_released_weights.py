"""With `normalize: none` and the released model's layers, the fusers give the tensors that the released code gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.modality_attention import ModalityAttention
from affectgpt.plugins.fusers.modality_attention_config import ModalityAttentionConfig
from affectgpt.plugins.fusers.temporal_attention import TemporalAttention
from affectgpt.plugins.fusers.temporal_attention_config import TemporalAttentionConfig


@pytest.fixture(scope="module")
def oracle(shared: Path) -> Path:
    folder = shared / "oracle"
    if not (folder / "model_a" / "outputs.pt").is_file():
        pytest.skip(f"no reference tensors in {folder}")
    return folder


@pytest.fixture(scope="module")
def weights(oracle: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(
        oracle / "model_a" / "checkpoint_000000_loss_0.000.pth", weights_only=True, map_location="cpu"
    )["model"]
    return state


@pytest.fixture(scope="module")
def outputs(oracle: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(oracle / "model_a" / "outputs.pt", weights_only=True)
    return tensors


@pytest.fixture(scope="module")
def hidden(oracle: Path) -> dict[str, Tensor]:
    """What the encoders gave, `[2, 8, 48]` of faces and `[2, 8, 64]` of sound."""
    tensors = torch.load(oracle / "inputs" / "inputs_shared.pt", weights_only=True)
    return {"face": tensors["face_encoder_hidden"], "audio": tensors["audio_encoder_hidden"]}


def take(layer: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    layer.load_state_dict({"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]})


def spec(values: Tensor, name: str) -> TokenSpec:
    return TokenSpec(modality=name, dim=values.shape[2], tokens=values.shape[1])


def padded(values: Tensor) -> Tokens:
    """The sequences with three rows of padding that is not 0."""
    mask = torch.ones(values.shape[0], values.shape[1] + 3, dtype=torch.bool)
    mask[:, values.shape[1] :] = False
    return Tokens(torch.cat([values, torch.full_like(values[:, :3], 1e30)], dim=1), mask)


def project(weights: dict[str, Tensor], name: str, tokens: Tokens) -> Tensor:
    return functional.linear(tokens.values, weights[f"{name}.weight"], weights[f"{name}.bias"])


def same(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_the_two_records_of_the_encoders_agree(hidden: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
    same(hidden["face"], outputs["face_hiddens"])
    same(hidden["audio"], outputs["audio_hiddens"])


@pytest.mark.parametrize("wrap", [Tokens, padded], ids=["as-it-was", "padded"])
@pytest.mark.parametrize(
    ("stream", "score", "projector", "expected"),
    [
        ("face", "video_attention_mlp", "affectgpt_proj", "face_llms"),
        ("audio", "audio_attention_mlp", "audio_llama_proj", "audio_llms"),
    ],
)
def test_temporal_attention(
    hidden: dict[str, Tensor],
    weights: dict[str, Tensor],
    outputs: dict[str, Tensor],
    wrap: Any,
    stream: str,
    score: str,
    projector: str,
    expected: str,
) -> None:
    config = TemporalAttentionConfig(inputs=[stream], normalize="none")
    specs = {stream: spec(hidden[stream], stream)}
    fuser = TemporalAttention(config, specs, config.infer(specs))
    take(fuser.score, weights, score)
    with torch.no_grad():
        same(project(weights, projector, fuser({stream: wrap(hidden[stream])})), outputs[expected])


@pytest.mark.parametrize("wrap", [Tokens, padded], ids=["as-it-was", "padded"])
def test_modality_attention(
    hidden: dict[str, Tensor], weights: dict[str, Tensor], outputs: dict[str, Tensor], wrap: Any
) -> None:
    config = ModalityAttentionConfig(inputs=["face", "audio"], normalize="none")
    specs = {name: spec(values, name) for name, values in hidden.items()}
    fuser = ModalityAttention(config, specs, config.infer(specs))
    take(fuser.projections[0], weights, "multi_video_embs")
    take(fuser.projections[1], weights, "multi_audio_embs")
    take(fuser.mix, weights, "attention_mlp")
    take(fuser.score, weights, "fc_att")
    with torch.no_grad():
        fused = fuser({name: wrap(values) for name, values in hidden.items()})
        same(fused.values[:, 0], outputs["multi_hiddens"])
        same(project(weights, "multi_llama_proj", fused), outputs["multi_llms"])


def test_softmax_is_not_what_the_released_model_computes(
    hidden: dict[str, Tensor], weights: dict[str, Tensor], outputs: dict[str, Tensor]
) -> None:
    config = TemporalAttentionConfig(inputs=["face"])
    specs = {"face": spec(hidden["face"], "face")}
    fuser = TemporalAttention(config, specs, config.infer(specs))
    take(fuser.score, weights, "video_attention_mlp")
    with torch.no_grad():
        result = project(weights, "affectgpt_proj", fuser({"face": Tokens(hidden["face"])}))
    assert (result - outputs["face_llms"]).abs().max() > 0.01
