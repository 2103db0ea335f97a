"""Every fact that timm writes beside weights is used, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config

from affectgpt.core.saved.earlier_defaults import complete_config
from affectgpt.plugins.encoders.timm_mel import TimmMel
from affectgpt.plugins.encoders.timm_mel_config import TimmMelConfig
from affectgpt.plugins.encoders.timm_vision import TimmVision
from affectgpt.plugins.encoders.timm_vision_config import TimmVisionConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError

MODEL = "resnet10t"
SMALL = {"channels": [8, 8, 16, 24], "stem_width": 8}
PLAIN = {
    "input_size": [3, 32, 32],
    "interpolation": "bicubic",
    "crop_pct": 0.95,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "first_conv": "conv1.0",
    "classifier": "fc",
}
PICTURES: list[dict[str, Any]] = [
    {},
    {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7]},
    {"interpolation": "bilinear"},
    {"interpolation": "lanczos"},
    {"crop_pct": 0.5},
    {"crop_pct": 1.0, "crop_mode": "squash"},
    {"crop_pct": 0.8, "crop_mode": "squash"},
    {"crop_pct": 0.9, "crop_mode": "border", "mean": [0.1, 0.2, 0.3]},
    {"input_size": [3, 48, 48], "test_input_size": [3, 64, 64], "test_crop_pct": 1.0},
]
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"act_layer": "gelu"},
    {"global_pool": "max"},
    {"output_stride": 16, "num_classes": 5, "in_chans": 3},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"architecture": "resnet18"}, "resnet18"),
    ({"pretrained_cfg": {**PLAIN, "mean": [1, 2]}}, "mean"),
    ({"pretrained_cfg": {**PLAIN, "mean": [float("nan")] * 3}}, "mean"),
    ({"pretrained_cfg": {**PLAIN, "std": [0, 1, 1]}}, "std"),
    ({"pretrained_cfg": {**PLAIN, "std": 1}}, "std"),
    ({"pretrained_cfg": {**PLAIN, "interpolation": "random"}}, "interpolation"),
    ({"pretrained_cfg": {**PLAIN, "crop_mode": "melt"}}, "crop_mode"),
    ({"pretrained_cfg": {**PLAIN, "crop_pct": 0}}, "crop_pct"),
    ({"pretrained_cfg": {**PLAIN, "crop_pct": 1e-9}}, "crop_pct"),
    ({"pretrained_cfg": {**PLAIN, "input_size": [3, 32]}}, "input_size"),
    ({"pretrained_cfg": {**PLAIN, "input_size": [3, 10**9, 10**9]}}, "input_size"),
    ({"pretrained_cfg": {**PLAIN, "input_size": [1, 32, 32]}}, "channels"),
    ({"model_args": {**SMALL, "in_chans": 4}}, "channels"),
    ({"model_args": {**SMALL, "checkpoint_path": "x"}}, "checkpoint_path"),
    ({"model_args": [1]}, "model_args"),
    ({"pretrained_cfg": 3}, "config.json"),
]


def write_folder(root: Path, pictures: dict[str, Any], arguments: dict[str, Any], *, form: str = "new") -> Path:
    folder = root / "timm" / f"{MODEL}.c3_in1k"
    folder.mkdir(parents=True, exist_ok=True)
    stated = {**PLAIN, **pictures}
    content: dict[str, Any] = {"architecture": MODEL, "num_classes": 5, "num_features": 24}
    if form == "one section":
        content = {**content, **stated}
    else:
        content |= {"pretrained_cfg": stated, "model_args": {**SMALL, **arguments}}
    (folder / "config.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    building = {key: value for key, value in arguments.items() if key not in ("num_classes", "in_chans")}
    save_file(timm.create_model(MODEL, num_classes=5, **SMALL, **building).state_dict(), folder / "model.safetensors")
    return folder


def build(**options: Any) -> TimmVision:
    config = TimmVisionConfig(**{"input": "frame", "model": MODEL, "features": 24, "frames": 1, **options})
    return TimmVision(config, config.infer())


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECTGPT_MODELS", str(tmp_path))


@pytest.mark.parametrize(
    ("pictures", "arguments"),
    [*((pictures, {}) for pictures in PICTURES), *(({}, arguments) for arguments in ARGUMENTS)],
    ids=str,
)
def test_the_features_are_those_of_timm(
    tmp_path: Path, pictures: dict[str, Any], arguments: dict[str, Any], fake_clip: Any
) -> None:
    folder = write_folder(tmp_path, pictures, arguments)
    own = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(own))
    encoder = build()
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    for shape in ((32, 32), (50, 50), (41, 90), (97, 33), (20, 70)):
        picture = np.asarray(Image.fromarray(coarse).resize(shape[::-1]))
        prepared = encoder.prepare(fake_clip(pictures=[picture]))
        assert prepared is not None and prepared.values.dtype == torch.uint8
        with torch.no_grad():
            expected = own(transform(Image.fromarray(picture))[None])
            torch.testing.assert_close(encoder._embed(prepared.values), expected, rtol=1e-5, atol=1e-5)


def test_an_older_file_holds_everything_in_one_section(tmp_path: Path) -> None:
    write_folder(tmp_path, {"mean": [0.5, 0.4, 0.3], "crop_mode": "squash"}, {}, form="one section")
    encoder = build(model_args=SMALL)
    assert encoder.mean == (0.5, 0.4, 0.3) and encoder.size == 32


@pytest.mark.parametrize(("changes", "name"), REFUSED, ids=str)
def test_what_is_not_done_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    folder = write_folder(tmp_path, {}, {})
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))
    with pytest.raises(CheckpointError, match="stated beside the weights") as caught:
        build()
    assert name in str(caught.value)


@pytest.mark.parametrize("text", ["no", "[]", "3", "[" * 100_000, "{}"])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, text: str) -> None:
    (write_folder(tmp_path, {}, {}) / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="stated beside the weights"):
        build()


def test_another_pooling_of_the_exported_model_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {}, {})
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "global_pool": "max"}))
    with pytest.raises(InterfaceError, match="another pooling"):
        build()
    build(model_args={"global_pool": "max"})


def test_a_fact_that_this_timm_does_not_know_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"colour_space": "lab"}, {})
    with pytest.raises(InterfaceError, match="colour_space"):
        build()


def test_a_model_that_was_saved_before_keeps_its_pictures(tmp_path: Path, fake_clip: Any) -> None:
    write_folder(tmp_path, {"mean": [0.1, 0.2, 0.3], "crop_pct": 0.5}, {})
    node: dict[str, Any] = {"plugin": "timm"}
    complete_config({"encoders": {"face": node}})
    before = build(facts=node["facts"], model_args=SMALL, size=32)
    assert before.mean == (0.485, 0.456, 0.406)
    clip = fake_clip(pictures=[np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)])
    assert not torch.equal(before.prepare(clip).values, build().prepare(clip).values)  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (3, 2)])
def test_extreme_shapes_are_pictures_too(tmp_path: Path, mode: str, shape: tuple[int, int], fake_clip: Any) -> None:
    write_folder(tmp_path, {"crop_mode": mode}, {})
    prepared = build().prepare(fake_clip(pictures=[np.full((*shape, 3), 77, np.uint8)]))
    assert prepared is not None and prepared.values.shape == (1, 3, 32, 32)
    assert (prepared.values[0] == 77).all(dim=0).any()


def test_sound_is_read_with_the_arguments_of_the_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {}, {"act_layer": "gelu"})
    config = TimmMelConfig(input="audio", model=MODEL, features=24, n_mels=32, seconds=0.5)
    encoder = TimmMel(config, config.infer())
    own = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, in_chans=1).eval()
    pictures = torch.randn(2, 1, 32, 50)
    with torch.no_grad():
        torch.testing.assert_close(encoder.model(pictures), own(pictures), rtol=1e-5, atol=1e-5)
