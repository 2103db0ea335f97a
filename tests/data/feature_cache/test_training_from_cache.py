"""Training that reads stored features is the training that runs the encoders at every step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from affectgpt.core.assembly import assemble
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.core.saved.model import load, save
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.fixed_encoders import saved_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import Encoded, encode
from affectgpt.data.samples import batches, read_samples
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import ConfigError, DataError
from affectgpt.training.loop import train

Plans = Callable[..., Plan]
Encode = Callable[..., Encoded]
Clips = list[Example]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP vision tower of random weights, as it would have been downloaded."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    folder = tmp_path_factory.mktemp("model") / "clip"
    torch.manual_seed(11)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPVisionConfig(**sizes, image_size=32, patch_size=16, projection_dim=24)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def from_folder(folder: Path) -> str:
    return f"encoders.face={{plugin: clip-vision, model: {folder}, frames: 2}}"


def from_cache(plan: Plan, folder: Path, clips: Clips) -> tuple[Pipeline, list[float]]:
    cache = FeatureCache.open(folder)
    cache.check_plan(plan)
    samples, broken = cache.samples(clips)
    pipeline = assemble(plan, skip_encoders=cache.unbuilt)
    cache.load_weights(pipeline)
    assert not broken
    return pipeline, train(pipeline, samples).losses


def encoding_every_step(plan: Plan, clips: Clips) -> tuple[Pipeline, list[float]]:
    pipeline = assemble(plan)
    samples, _ = read_samples(clips, pipeline.prepare, workers=0)
    return pipeline, train(pipeline, samples).losses


def same(pipeline: Pipeline, expected: Pipeline) -> None:
    states = pipeline.state_dict(), expected.state_dict()
    for key in states[0].keys() & states[1].keys():
        torch.testing.assert_close(states[0][key], states[1][key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("extra", [(), ("training.modality_dropout=0.5",), ("training.gradient_accumulation=2",)])
def test_the_losses_are_those_of_encoding_at_every_step(
    extra: tuple[str, ...], plan: Plans, encoded: Encode, clips: Clips, tmp_path: Path
) -> None:
    encoded(clips, *extra)
    slow, losses = encoding_every_step(plan(*extra), clips)
    fast, cached_losses = from_cache(plan(*extra), tmp_path / "cache", clips)
    assert len(cached_losses) == 5 and cached_losses == pytest.approx(losses, rel=1e-5)
    assert cached_losses[0] != pytest.approx(cached_losses[-1], rel=0.01)
    same(slow, fast)
    assert slow.state_dict().keys() == fast.state_dict().keys()


def test_an_encoder_from_a_model_folder_is_not_built_and_nothing_else_changes(
    plan: Plans, encoded: Encode, clips: Clips, model_folder: Path, tmp_path: Path
) -> None:
    settings = plan(from_folder(model_folder))
    encoded(clips, from_folder(model_folder))
    assert FeatureCache.open(tmp_path / "cache").unbuilt == ("face",)
    slow, losses = encoding_every_step(settings, clips)
    fast, cached_losses = from_cache(settings, tmp_path / "cache", clips)
    assert "face" not in fast.encoders and "face" in slow.encoders
    assert cached_losses == pytest.approx(losses, rel=1e-5)
    same(slow, fast)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_model_folder_that_changed_is_refused(
    name: str, plan: Plans, encoded: Encode, clips: Clips, model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "clip")
    extra = from_folder(folder)
    encoded(clips[:2], extra)
    cache = FeatureCache.open(tmp_path / "cache")
    cache.check_plan(plan(extra))
    file = folder / name
    if name == "model.safetensors":
        tensors = load_file(file)
        first = sorted(tensors)[0]
        save_file({**tensors, first: tensors[first] + 1}, file, metadata={"format": "pt"})
    else:
        sizes = '"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}'
        statistics = f'{{"image_mean": [0.4, 0.4, 0.4], "image_std": [0.3, 0.3, 0.3], {sizes}}}'
        file.write_text(file.read_text() + "\n" if file.exists() else statistics)
    with pytest.raises(ConfigError, match="other weights of this encoder") as error:
        cache.check_plan(plan(extra))
    assert name in error.value.problems[0].found
    with pytest.raises(DataError, match=rf"encoders\.face\.files\.{name}"):
        encoded(clips[:3], extra)


@pytest.mark.parametrize("names", [("face",), ("face", "audio")])
def test_what_is_drawn_at_random_does_not_depend_on_the_encoders_that_are_left_out(
    plan: Plans, model_folder: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectgpt.plugins.encoders import clip_vision

    def drawing(*arguments: Any, work: Any = clip_vision.load_pretrained, **options: Any) -> Any:
        # As libraries do that fill a model with random numbers before they read its weights.
        torch.rand(5)
        return work(*arguments, **options)

    monkeypatch.setattr(clip_vision, "load_pretrained", drawing)
    full_pipeline = assemble(plan(from_folder(model_folder)))
    less = assemble(plan(from_folder(model_folder)), skip_encoders=names)
    assert less.state_dict().keys() < full_pipeline.state_dict().keys()
    assert all(torch.equal(tensor, full_pipeline.state_dict()[key]) for key, tensor in less.state_dict().items())


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_model_trained_from_a_cache_is_saved_whole(
    pretrained: bool, plan: Plans, encoded: Encode, clips: Clips, model_folder: Path, tmp_path: Path
) -> None:
    extra = [from_folder(model_folder)] if pretrained else []
    encoded(clips, *extra)
    fast, _ = from_cache(plan(*extra), tmp_path / "cache", clips)
    save(fast, tmp_path / "model")
    loaded = load(tmp_path / "model", discover())
    slow, _ = encoding_every_step(plan(*extra), clips)
    prepared, _ = read_samples(clips, loaded.prepare, workers=0)
    answers = [clip.description for clip in clips]
    ((batch, _),) = batches(prepared, 7)
    torch.testing.assert_close(loaded.log_likelihood(batch, answers), slow.log_likelihood(batch, answers))


def test_the_encoders_of_a_trained_model_serve_a_config_that_freezes_them(
    plan: Plans, clips: Clips, tmp_path: Path
) -> None:
    trained, _ = encoding_every_step(plan("encoders.face.frozen=false", "training.batch_size=7"), clips)
    save(trained, tmp_path / "model")
    encode(saved_encoders(tmp_path / "model", discover()), clips, tmp_path / "cache", workers=0)
    fast, _ = from_cache(plan("seed=8"), tmp_path / "cache", clips)
    for key, tensor in trained.encoders.state_dict().items():
        assert torch.equal(tensor, fast.encoders.state_dict()[key])
    samples, _ = FeatureCache.open(tmp_path / "cache").samples(clips)
    prepared, _ = read_samples(clips, trained.prepare, workers=0)
    ((batch, _),) = batches(prepared, 7)
    with torch.no_grad():
        values = trained.encode(batch)["face"].values
    torch.testing.assert_close(samples[0].media["face"].values, values[0][: len(samples[0].media["face"].values)])
    with pytest.raises(ConfigError, match="frozen"):
        FeatureCache.open(tmp_path / "cache").check_plan(plan("encoders.face.frozen=false"))


def test_an_encoder_trained_on_from_a_model_folder_is_refused(
    plan: Plans, clips: Clips, model_folder: Path, tmp_path: Path
) -> None:
    face = from_folder(model_folder).replace("frames: 2", "frames: 2, frozen: false")
    trained, _ = encoding_every_step(plan(face), clips)
    save(trained, tmp_path / "model")
    with pytest.raises(ConfigError, match=r"encoders\.face") as caught:
        saved_encoders(tmp_path / "model", discover())
    assert "encoders=" in caught.value.problems[0].hint
    assert list(saved_encoders(tmp_path / "model", discover(), ["audio"]).modules) == ["audio"]
