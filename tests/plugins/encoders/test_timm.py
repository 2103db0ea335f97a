from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from affectgpt.core.tokens import stack
from affectgpt.plugins.encoders.timm_base import FEATURES
from affectgpt.plugins.encoders.timm_model import features
from affectgpt.plugins.encoders.timm_vision import TimmVision
from affectgpt.plugins.encoders.timm_vision_config import TimmVisionConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError

SMALL = {"channels": [8, 8, 16, 24], "stem_width": 8}


def build(**options: Any) -> TimmVision:
    config = TimmVisionConfig(**{"input": "face", "model": "resnet10t", "init": "random", "size": 32, **options})
    return TimmVision(config, config.infer())


@pytest.mark.parametrize("name", FEATURES)
def test_the_table_of_widths(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    assert model.head_hidden_size == FEATURES[name]


def test_a_wrong_width_names_both() -> None:
    with pytest.raises(InterfaceError) as caught:
        build(model_args=SMALL, features=99)
    assert "[24]" in caught.value.problems[0].found and "[99]" in caught.value.problems[0].expected


def test_an_unknown_width_must_be_given() -> None:
    for options in ({"model": "resnet26"}, {"model_args": SMALL}):
        with pytest.raises(InterfaceError, match="width"):
            build(**options)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"model": "no_such_model", "features": 3}, "cannot build"),
        ({"model_args": {"no_such_argument": 1}, "features": 3}, "cannot build"),
        ({"model": "test_vit_relpos", "features": 96, "size": 64}, "does not read"),
    ],
)
def test_what_timm_refuses(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InterfaceError, match=what):
        build(**options)


@pytest.mark.parametrize("options", [{"model": "hf-hub:a/b"}, {"model_args": {"in_chans": 1}}])
def test_options_that_are_not_taken(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TimmVisionConfig(**{"input": "face", "model": "resnet18", **options})


def test_pretrained_weights_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Callable[..., Any]
) -> None:
    monkeypatch.setenv("AFFECTGPT_MODELS", str(tmp_path))
    options = {"model_args": SMALL, "features": 24, "init": "pretrained"}
    with pytest.raises(CheckpointError, match="no weights"):
        build(**options)
    folder = tmp_path / "timm" / "resnet10t.c3_in1k"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    weights = timm.create_model("resnet10t", **SMALL).state_dict()
    save_file(weights, folder / "model.safetensors")
    encoder = build(**options)
    assert encoder.pretrained
    assert torch.equal(encoder.state_dict()["model.layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    del weights["layer1.0.conv1.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv1\.weight"):
        build(**options)


def test_pixels_are_scaled_as_the_model_expects(noise: Callable[..., Any]) -> None:
    encoder = build(model_args=SMALL, features=24, frames=2)
    batch = stack([encoder.prepare(noise(0, pictures=2, seconds=0))])
    assert batch is not None and batch.values.dtype == torch.uint8 and batch.values.shape == (1, 2, 3, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = encoder.model((batch.values[0] / 255 - mean) / std)
        torch.testing.assert_close(encoder(batch).values[0], expected)


@pytest.mark.parametrize(
    ("model", "arguments", "grid", "width"),
    [
        ("swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}, 49, 64),
        pytest.param(
            "swinv2_tiny_window8_256",
            {"embed_dim": 8, "depths": (1,) * 4, "num_heads": (1,) * 4},
            64,
            64,
            marks=pytest.mark.slow,
        ),
        ("resnet10t", SMALL, 1, 24),
        ("vit_tiny_patch16_224", {"embed_dim": 12, "depth": 1}, 197, 12),
    ],
)
def test_positions_are_tokens_wherever_the_channels_are(
    model: str, arguments: dict[str, Any], grid: int, width: int
) -> None:
    size = {} if model != "resnet10t" else {"size": 32}
    options = {"model": model, "model_args": arguments, "tokens": "all", "features": width, "positions": grid}
    encoder = TimmVision(config := TimmVisionConfig(input="face", init="random", **options, **size), config.infer())
    pixels = torch.rand(2, 3, encoder.size, encoder.size)
    with torch.no_grad():
        grid_map = encoder.model.forward_features(pixels)
        tokens = features(encoder.model, config, pixels)
    assert tokens.shape == (2, grid, width)
    last = getattr(encoder.model, "output_fmt", "NCHW") == "NHWC" or grid_map.ndim == 3
    corner = grid_map.reshape(2, -1, width)[:, -1] if last else grid_map[:, :, -1, -1]
    torch.testing.assert_close(tokens[:, -1], corner)
    if model.startswith("swin_"):
        with pytest.raises(InterfaceError, match="width"):
            build(**{**options, "features": grid, "positions": width * grid // 7, "size": None})
