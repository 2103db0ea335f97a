"""Every fact of pictures that a transformers CLIP folder states is used, or refused by its name."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, CLIPConfig, CLIPModel, CLIPVisionModelWithProjection

from affectgpt.core.saved.earlier_defaults import complete_config
from affectgpt.plugins.encoders.clip_preprocessing import read_preprocessing
from affectgpt.plugins.encoders.clip_vision import ClipVision
from affectgpt.plugins.encoders.clip_vision_config import ClipVisionConfig
from affectgpt.plugins.encoders.pictures import CLIP_MEAN
from affectgpt.registry.errors import CheckpointError, InterfaceError

SIZE = 32
OLD = {"feature_extractor_type": "CLIPFeatureExtractor", "size": SIZE, "crop_size": SIZE, "resample": 3}
NEW = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": SIZE},
    "crop_size": {"height": SIZE, "width": SIZE},
}
FACTS: list[dict[str, Any]] = [
    {},
    {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]},
    {"size": {"shortest_edge": 40}},
    {"size": 45},
    {"size": 32, "default_to_square": True},
    {"size": [40, 36]},
    {"size": {"height": 40, "width": 50}},
    {"size": {"height": SIZE, "width": SIZE}, "do_center_crop": False},
    {"size": {"shortest_edge": 20}},
    {"do_resize": False},
    {"resample": 2},
    {"resample": 0},
    {"do_rescale": False},
    {"rescale_factor": 1 / 127.5},
    {"do_normalize": False},
    {"do_normalize": False, "do_rescale": False},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image_processor_type": "ViTImageProcessor"}, "ViTImageProcessor"),
    ({"do_pad": True}, "do_pad"),
    ({"do_flip_channel_order": True}, "do_flip_channel_order"),
    ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "longest_edge"),
    ({"size": {"max_height": 32, "max_width": 64}}, "max_height"),
    ({"size": {"shortest_edge": 10**9}}, "1000000000"),
    ({"size": True}, "True"),
    ({"size": "32"}, "'32'"),
    ({"crop_size": 24}, "24 x 24"),
    ({"do_center_crop": False}, "not square"),
    ({"do_center_crop": False, "do_resize": False}, "their own size"),
    ({"do_resize": "yes"}, "do_resize"),
    ({"resample": 1}, "resample: 1"),
    ({"resample": [3]}, "resample"),
    ({"rescale_factor": 0}, "rescale_factor"),
    ({"rescale_factor": "x"}, "rescale_factor"),
    ({"image_mean": [1, 2]}, "image_mean"),
    ({"image_mean": [float("nan")] * 3}, "image_mean"),
    ({"image_std": [0, 1, 1]}, "image_std"),
    ({"image_std": 0.5}, "image_std"),
    ({"image_mean": None}, "image_mean"),
    ({"size": None}, "None"),
    ({"resample": None}, "resample"),
    ({"do_normalize": None}, "do_normalize"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {
        **sizes,
        "image_size": SIZE,
        "patch_size": 16,
        "hidden_act": "gelu",
        "layer_norm_eps": 0.1,
        "projection_dim": 12,
    }
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(vision_config=vision, text_config={**sizes, "vocab_size": 9}, projection_dim=12)
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(weights: Path, tmp_path: Path) -> Path:
    for file in weights.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def write(folder: Path, form: str, facts: dict[str, Any]) -> None:
    if form == "nested":
        content = {"processor_class": "CLIPProcessor", "image_processor": {**NEW, **facts}}
        (folder / "processor_config.json").write_text(json.dumps(content))
        (folder / "preprocessor_config.json").write_text("{}")
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps({**(OLD if form == "old" else NEW), **facts}))


def build(folder: Path, **options: Any) -> ClipVision:
    config = ClipVisionConfig(input="frame", model=str(folder), frames=1, **options)
    return ClipVision(config, config.infer())


@pytest.mark.parametrize("form", ["old", "new", "nested"])
@pytest.mark.parametrize("facts", FACTS, ids=str)
def test_the_features_are_those_of_transformers(folder: Path, form: str, facts: dict[str, Any], fake_clip: Any) -> None:
    write(folder, form, facts)
    encoder = build(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    model = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    for shape in ((SIZE, SIZE), (50, 50), (41, 90), (97, 33), (20, 70)):
        picture = np.asarray(Image.fromarray(coarse).resize(shape[::-1]))
        prepared = encoder.prepare(fake_clip(pictures=[picture]))
        assert prepared is not None and prepared.values.dtype == torch.uint8
        with torch.no_grad():
            expected = model(**processor(picture, return_tensors="pt")).image_embeds
            torch.testing.assert_close(encoder._embed(prepared.values), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("facts", "name"), REFUSED, ids=str)
def test_what_is_not_done_is_refused_by_name(folder: Path, facts: dict[str, Any], name: str) -> None:
    write(folder, "new", facts)
    with pytest.raises(CheckpointError, match="not supported") as caught:
        build(folder)
    assert name in caught.value.problems[0].found and "resize: crop" in caught.value.problems[0].hint


@pytest.mark.parametrize("text", ["no", "[]", "3", "[" * 100_000, '{"image_mean": "\\ud800"}'])
def test_a_file_that_cannot_be_read_is_one_error(folder: Path, text: str) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).write_text(text)
        with pytest.raises(CheckpointError, match="prepared for these weights"):
            build(folder)


def test_where_nothing_is_stated_pictures_are_prepared_as_for_openai_s_clip(folder: Path) -> None:
    stated, cropped = build(folder), build(folder, resize="crop")
    assert stated.mean == cropped.mean == CLIP_MEAN and stated.factor == cropped.factor
    assert stated.fit is cropped.fit


def test_a_model_that_was_saved_before_keeps_its_pictures(folder: Path, fake_clip: Any) -> None:
    node: dict[str, Any] = {"plugin": "clip-vision", "model": str(folder)}
    complete_config({"encoders": {"face": node}})
    write(
        folder,
        "new",
        {"size": {"shortest_edge": 40}, "rescale_factor": 1, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]},
    )
    before = build(folder, resize=node["resize"])
    assert before.mean == [0.1, 0.2, 0.3] and before.factor == 1 / 255
    clip = fake_clip(pictures=[np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)])
    assert not torch.equal(before.prepare(clip).values, build(folder).prepare(clip).values)  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (3, 2)])
def test_extreme_shapes_cost_little(folder: Path, shape: tuple[int, int]) -> None:
    write(folder, "new", {})
    stated = read_preprocessing(str(folder), SIZE)
    inputs = np.full((*shape, 3), 77, np.uint8)
    tracemalloc.start()
    result = stated.fit(inputs, SIZE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.shape == (SIZE, SIZE, 3) and (result == 77).all() and peak < 4_000_000


@pytest.mark.parametrize(
    ("vision", "older", "what"),
    [
        ({}, {"hidden_act": "quick_gelu"}, "contradicts itself"),
        ({"hidden_act": "none"}, None, "hidden_act"),
        ({"hidden_act": 3}, None, "hidden_act"),
        ({"layer_norm_eps": "x"}, None, "layer_norm_eps"),
        ({"patch_size": 0}, None, "patch_size"),
    ],
)
def test_facts_of_the_tower_that_cannot_be_used(
    folder: Path, vision: dict[str, Any], older: dict[str, Any] | None, what: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"].update(vision)
    config["vision_config_dict"] = older
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    write(folder, "new", {})
    with pytest.raises(InterfaceError, match=what):
        build(folder)
