from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from affectgpt.plugins.encoders.open_clip_vision_config import OpenClipVisionConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError

pytest.importorskip("open_clip")


def build(**options: Any) -> Any:
    from affectgpt.plugins.encoders.open_clip_vision import OpenClipVision

    config = OpenClipVisionConfig(**{"input": "frame", "model": "ViT-S-32-alt", **options})
    return OpenClipVision(config, config.infer())


def test_checkpoint_is_read_strictly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = build()
    assert not source.pretrained
    weights = {f"visual.{key}": value.contiguous() for key, value in source.model.state_dict().items()}
    weights["logit_scale"] = torch.zeros(1)
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    for checkpoint in (tmp_path, tmp_path / "open_clip_model.safetensors"):
        loaded = build(checkpoint=str(checkpoint))
        assert loaded.pretrained
        assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in source.state_dict().items())
    assert capfd.readouterr() == ("", "")
    del weights["visual.conv1.weight"]
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(CheckpointError, match=r"conv1\.weight"):
        build(checkpoint=str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="does not fit"):
        build(checkpoint=str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no open_clip checkpoint"):
        build(checkpoint=str(tmp_path))


def test_the_text_tower_is_not_kept() -> None:
    assert sum(p.numel() for p in build().parameters()) < 25_000_000


@pytest.mark.parametrize("name", ["ViT-B-33", "../model_configs/ViT-B-32", ""])
def test_an_unknown_model_names_its_neighbours(name: str) -> None:
    with pytest.raises(InterfaceError, match="no model"):
        OpenClipVisionConfig(input="face", model=name).infer()


MODEL = "ViT-S-32-alt"
OPENAI = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
PLAIN = {**OPENAI, "interpolation": "bicubic", "resize_mode": "shortest"}


def write_folder(folder: Path, preprocessing: dict[str, Any], **tower: Any) -> Path:
    """A folder as open_clip writes it, with random weights."""
    import open_clip

    facts = {"model_cfg": {**open_clip.get_model_config(MODEL), **tower}, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(facts))
    torch.manual_seed(0)
    weights = open_clip.create_model(MODEL, load_weights=False).state_dict()
    save_file(
        {key: value.contiguous().clone() for key, value in weights.items()}, folder / "open_clip_model.safetensors"
    )
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"},
        {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7], "resize_mode": "squash"},
        {"resize_mode": "longest", "fill_color": 200, "interpolation": "bilinear"},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"resize_mode": "longest"}, marks=pytest.mark.slow),
    ],
)
def test_the_features_are_those_of_open_clips_own_loader(
    tmp_path: Path, changes: dict[str, Any], fake_clip: Any
) -> None:
    import open_clip
    from PIL import Image

    folder = write_folder(tmp_path, {**PLAIN, **changes})
    own, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    encoder = build(model=MODEL, checkpoint=str(folder), frames=1)
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    for shape in ((224, 224), (100, 100), (90, 300), (301, 200)):
        picture = np.asarray(Image.fromarray(coarse).resize(shape[::-1]))
        prepared = encoder.prepare(fake_clip(pictures=[picture]))
        with torch.no_grad():
            expected = own.eval().encode_image(prepare(Image.fromarray(picture))[None])
            features = encoder._embed(prepared.values)
        # The middle of a picture is computed alone here, and cut out of the whole there: levels differ by rounding.
        exact = shape[0] == shape[1] or changes.get("resize_mode") in ("squash", "longest")
        tolerance = 1e-5 if exact else 2e-2
        torch.testing.assert_close(features, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("tower", [{"quick_gelu": True}, {"embed_dim": 7}, {"vision_cfg": {"layers": 3}}])
def test_weights_of_another_tower_are_refused_by_name(tmp_path: Path, tower: dict[str, Any]) -> None:
    import open_clip

    from affectgpt.plugins.encoders.open_clip_vision import _stated_preprocessing

    facts = {"model_cfg": {**open_clip.get_model_config(MODEL), **tower}, "preprocess_cfg": PLAIN}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match=f"other values of {next(iter(tower))}"):
        _stated_preprocessing(MODEL, tmp_path / "open_clip_model.safetensors")


@pytest.mark.parametrize(
    "stated",
    ["no", "[]", '{"model_cfg": {}, "preprocess_cfg": 3}']
    + [
        json.dumps({"model_cfg": {}, "preprocess_cfg": {**PLAIN, **wrong}})
        for wrong in (
            {"mean": 3},
            {"mean": [1, 2]},
            {"std": [0, 1, 1]},
            {"std": ["x", 1, 1]},
            {"mean": [float("nan")] * 3},
            {"resize_mode": "melt"},
            {"interpolation": ["bicubic"]},
        )
    ],
)
def test_statements_that_cannot_be_read_are_one_error(tmp_path: Path, stated: str) -> None:
    from affectgpt.plugins.encoders.open_clip_vision import _stated_preprocessing

    (tmp_path / "open_clip_config.json").write_text(stated)
    with pytest.raises(CheckpointError, match="stated beside the weights cannot be read"):
        _stated_preprocessing(MODEL, tmp_path / "open_clip_model.safetensors")


def test_without_a_statement_the_tags_of_the_architecture_decide(tmp_path: Path) -> None:
    from affectgpt.plugins.encoders.open_clip_vision import _preprocessing_of_tags

    webli = _preprocessing_of_tags("ViT-B-16-SigLIP", tmp_path)
    assert webli["mean"] == (0.5, 0.5, 0.5) and webli["resize_mode"] == "squash"
    assert _preprocessing_of_tags("ViT-B-32", tmp_path)["resize_mode"] == "shortest"
    with pytest.raises(CheckpointError, match="2 ways among the pretrained"):
        _preprocessing_of_tags(two_ways(), tmp_path)


def two_ways() -> str:
    """An architecture whose pretrained models read pictures in two ways."""
    import open_clip

    def ways(model: str) -> set[str]:
        tags = open_clip.list_pretrained_tags_by_model(model)
        return {
            str(
                [
                    open_clip.get_pretrained_cfg(model, tag).get(key)
                    for key in ("mean", "std", "resize_mode", "interpolation")
                ]
            )
            for tag in tags
        }

    return next(model for model in open_clip.list_models() if len(ways(model)) == 2)


def test_the_statistics_of_clip_can_be_kept(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {**PLAIN, "mean": [0.5] * 3})
    assert build(model=MODEL, checkpoint=str(folder), preprocessing="clip").mean == tuple(OPENAI["mean"])
    assert build(model=MODEL, checkpoint=str(folder)).mean == (0.5, 0.5, 0.5)
