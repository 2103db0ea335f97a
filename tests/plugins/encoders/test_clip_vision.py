from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from affectgpt.core.tokens import stack
from affectgpt.plugins.encoders.clip_vision import ClipVision
from affectgpt.plugins.encoders.clip_vision_config import ClipVisionConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError


def build(folder: Path, **options: Any) -> ClipVision:
    config = ClipVisionConfig(input="face", model=str(folder), **options)
    return ClipVision(config, config.infer())


@pytest.fixture
def model(oracle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(oracle / "hf_models" / "tiny-clip", tmp_path / "tiny-clip"))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_equal_to_the_released_encoder(
    oracle: Path, fake_clip: Callable[..., Any], capfd: pytest.CaptureFixture[str], order: str
) -> None:
    shared = torch.load(oracle / "inputs" / "inputs_shared.pt", weights_only=True)
    encoder = build(oracle / "hf_models" / "tiny-clip", channel_order=order)
    assert encoder.pretrained
    assert encoder.output.dim == 48 and str(encoder.output) == "face [<=8, 48]"
    faces = shared["raw_faces_uint8"].permute(0, 2, 3, 4, 1).numpy()
    if order == "bgr":
        faces = faces[..., ::-1]
    batch = stack([encoder.prepare(fake_clip(pictures=list(clip))) for clip in faces])
    assert batch is not None
    with torch.no_grad():
        tokens = encoder(batch)
    torch.testing.assert_close(tokens.values, shared["face_encoder_hidden"], rtol=0, atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_a_missing_weight_is_named(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"visual_projection\.weight"):
        build(model)


def test_weights_of_another_shape(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["projection_dim"] = 40
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        build(model)


def test_damaged_and_absent_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        build(model)
    (model / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        build(model)


def test_a_pickle_is_read_only_when_allowed(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    torch.save(weights, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="allow_pickle"):
        build(model)
    loaded = build(model, allow_pickle=True).state_dict()
    assert torch.equal(loaded["model.visual_projection.weight"], weights["visual_projection.weight"])


def test_a_pickle_that_runs_code_is_refused(model: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (model / "executed",))

    (model / "model.safetensors").unlink()
    torch.save({"x": Trap()}, model / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        build(model, allow_pickle=True)
    assert not (model / "executed").exists()


def test_statistics_come_from_the_folder(model: Path, noise: Callable[..., Any]) -> None:
    clip = noise(0, pictures=2, seconds=0)
    values = json.loads((model / "preprocessor_config.json").read_text())
    before = build(model)
    (model / "preprocessor_config.json").write_text(json.dumps({**values, "image_mean": [0.1, 0.1, 0.1]}))
    after = build(model)
    batch = stack([before.prepare(clip)])
    assert batch is not None
    with torch.no_grad():
        assert not torch.allclose(before(batch).values, after(batch).values)
    (model / "preprocessor_config.json").write_text('{"image_mean": [1, 2], "image_std": [1, 1, 0]}')
    with pytest.raises(CheckpointError, match="statistics"):
        build(model)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    config = ClipVisionConfig(input="face", model="openai/clip-vit-base-patch32")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        ClipVision(config, config.infer())
    with pytest.raises(InterfaceError):
        ClipVisionConfig(input="face", model=str(tmp_path / "none")).infer()


def test_another_kind_of_model_is_refused(oracle: Path) -> None:
    with pytest.raises(InterfaceError, match="not a CLIP"):
        ClipVisionConfig(input="face", model=str(oracle / "hf_models" / "tiny-hubert")).infer()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "random"},
        {"model": "a/b", "architecture": {}},
        {"model": "a/b", "architecture": {}, "init": "random"},
        {"model": "a/b", "frames": 0},
        {"model": "a/b", "frames": 65},
        {"architecture": {"hidden": 3}, "init": "random"},
        {"model": "a/b", "dtype": "float16", "frozen": False},
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClipVisionConfig(input="face", **options)


def test_the_declared_count_is_right_for_every_size() -> None:
    sizes = {
        "hidden_size": 12,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": 48,
        "patch_size": 16,
        "projection_dim": 7,
    }
    config = ClipVisionConfig(input="frame", init="random", architecture=sizes)
    encoder = ClipVision(config, config.infer())
    assert config.parameters() == sum(parameter.numel() for parameter in encoder.parameters())
    assert not encoder.pretrained and not encoder.model.training
