"""There and back: nothing of a checkpoint's model is lost, and every tensor is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.core.batch import collate
from affectgpt.core.saved.model import load, save
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError
from affectgpt.released.export import export_checkpoint
from affectgpt.released.report import ConversionReport
from affectgpt.testing import NoiseClip


def returned(folder: Path, out: Path) -> ConversionReport:
    return export_checkpoint(folder, out, discover())


def content(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def same(first: Path, second: Path) -> None:
    """The same tensors in the same order, bit for bit, and the same config and epoch."""
    one, two = content(first), content(second)
    assert list(one["model"]) == list(two["model"])
    for name, tensor in one["model"].items():
        different = two["model"][name]
        assert tensor.dtype == different.dtype and tensor.shape == different.shape, name
        assert tensor.numpy().tobytes() == different.numpy().tobytes(), name
    assert one["config"] == two["config"] and one["epoch"] == two["epoch"] == 5


MIXED = [
    ("attention", "attention", "attention", (1, 1, 1)),
    ("mean", "mean", "attention", (2, 3, 4)),
    ("qformer", "qformer", "qformer", (8, 6, 5)),
    ("mean", "qformer", "attention", (1, 4, 2)),
    ("attention", "mean", "qformer", (3, 1, 7)),
]


@pytest.mark.parametrize(("video", "audio", "multi", "tokens"), MIXED)
def test_bit_for_bit(
    video: str,
    audio: str,
    multi: str,
    tokens: tuple[int, int, int],
    original: Callable[..., Path],
    converted: Callable[..., Any],
    catalog: Catalog,
    tmp_path: Path,
) -> None:
    checkpoint = original(video, audio, multi, tokens=tokens)
    account = converted(checkpoint)
    model = content(checkpoint)["model"]
    assert [row.name for row in account.rows][: len(model)] == list(model)
    buffers = [name for name in model if name.endswith("position_ids")]
    assert {row.name for row in account.with_fate("kept")} == {
        "image_llama_proj.weight",
        "image_llama_proj.bias",
        *buffers,
    }
    assert [row.name for row in account.with_fate("not carried")] == ["optimizer", "scaler"]
    assert account.count("mapped") == len(model) - 2 - len(buffers) and not account.count("tied")
    pipeline = load(tmp_path / "out", catalog)
    state = pipeline.state_dict()
    for row in account.with_fate("mapped"):
        assert all(torch.equal(state[ours], model[row.name]) for ours in row.to) and row.to
    outputs = {name: pipeline.plan.output(name).tokens for name in ("face_tokens", "audio_tokens", "multi")}
    assert tuple(outputs.values()) == tokens
    returned(tmp_path / "out", tmp_path / "again.pth")
    same(checkpoint, tmp_path / "again.pth")


@pytest.mark.parametrize(
    ("reads", "template"),
    [
        ("multiface_audio_face_frame_text", "<MultiHere><AudioHere><FaceHere><FrameHere>{subtitle}"),
        pytest.param(
            "multiframe_audio_frame_text", "<MultiHere> <AudioHere> <FrameHere> {subtitle}", marks=pytest.mark.slow
        ),
        pytest.param("audio_text", "<AudioHere> {subtitle}", marks=pytest.mark.slow),
        pytest.param("faceonly", "see <FaceHere>", marks=pytest.mark.slow),
        pytest.param("multiface_text", "<MultiHere> {subtitle}", marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_input_keeps_what_it_does_not_read(
    reads: str,
    template: str,
    original: Callable[..., Path],
    converted: Callable[..., Any],
    catalog: Catalog,
    tmp_path: Path,
) -> None:
    words = tmp_path / "other.yaml"
    words.write_text(yaml.safe_dump({"template": template + " {question} A: ", "question": "How?"}))
    checkpoint = original("attention", "qformer", "attention", tokens=(1, 4, 1), reads=reads)
    account = converted(checkpoint, prompt=words)
    assert {row.name.split("_")[0] for row in account.with_fate("kept")} >= {"image"}
    pipeline = load(tmp_path / "out", catalog)
    media = pipeline.prepare(NoiseClip(pictures=3, seconds=2.5))
    assert all(each is not None and len(each.values) == 8 for each in media.values())
    assert len(pipeline.generate(collate([media], ["hi"]))) == 1
    returned(tmp_path / "out", tmp_path / "again.pth")
    same(checkpoint, tmp_path / "again.pth")


def test_faces_and_frames_that_went_apart_do_not_go_back(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    words = tmp_path / "other.yaml"
    words.write_text("{template: '<AudioHere><FaceHere><FrameHere>{subtitle} {question}', question: How?}")
    account = converted(original("mean", "mean", reads="faceframe"), prompt=words)
    assert any("shared their weights" in note for note in account.notes)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    weights["projectors.frame_tokens.bias"][0] += 1
    save_file(weights, tmp_path / "out" / "model.safetensors")
    with pytest.raises(CheckpointError, match="no longer share"):
        returned(tmp_path / "out", tmp_path / "again.pth")
    assert not (tmp_path / "again.pth").exists()


def test_a_trained_model_goes_back_with_what_it_learned(
    original: Callable[..., Path], converted: Callable[..., Any], catalog: Catalog, tmp_path: Path
) -> None:
    checkpoint = original()
    converted(checkpoint)
    pipeline = load(tmp_path / "out", catalog)
    with torch.no_grad():
        pipeline.projectors["multi"].bias.add_(1)
        for name, weight in pipeline.named_parameters():
            if name.endswith("layers.1.mlp.up_proj.lora_B.default.weight"):
                weight.mul_(2)
    save(pipeline, tmp_path / "out", write_extras=lambda built_model: copy_beside(tmp_path / "out", built_model))
    returned(tmp_path / "out", tmp_path / "again.pth")
    before, after = content(checkpoint)["model"], content(tmp_path / "again.pth")["model"]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    adapted = "llama_model.base_model.model.model.layers.1.mlp.up_proj.lora_B.default.weight"
    assert changed == {"multi_llama_proj.bias", adapted}
    assert torch.equal(after[adapted], before[adapted] * 2)


def copy_beside(old: Path, built_model: Path) -> None:
    import shutil

    shutil.copytree(old / "released", built_model / "released")


def test_the_saved_head_of_a_tied_llm_is_compared_with_the_folder(
    models: Any, original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    folder = models.llm.with_name("tied-llm")
    head = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    name = "llama_model.base_model.model.lm_head.weight"
    checkpoint = original(change=lambda content: content["model"].update({name: head.half()}))
    account = converted(checkpoint, llm=folder)
    (row,) = account.with_fate("tied")
    assert row.name == name and row.to == ("llm.model.lm_head.weight",) and row.dtype == "float16"
    returned(tmp_path / "out", tmp_path / "again.pth")
    same(checkpoint, tmp_path / "again.pth")
    second = original(change=lambda content: content["model"].update({name: head + 0.01}))
    with pytest.raises(CheckpointError, match="differ from those of the model folders"):
        converted(second, out="second", llm=folder)
    assert not (tmp_path / "second").exists()


def test_frozen_encoders_in_the_file_are_compared_or_kept(
    models: Any, original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    stored = load_file(models.vision / "model.safetensors")
    names = ("visual_projection.weight", "text_model.final_layer_norm.bias")
    more = {f"visual_encoder.model.{name}": stored[name] for name in names}
    checkpoint = original(change=lambda content: content["model"].update(more))
    account = converted(checkpoint)
    assert [row.name for row in account.with_fate("tied")] == ["visual_encoder.model.visual_projection.weight"]
    assert "visual_encoder.model.text_model.final_layer_norm.bias" in {row.name for row in account.with_fate("kept")}
    returned(tmp_path / "out", tmp_path / "again.pth")
    same(checkpoint, tmp_path / "again.pth")


def test_the_pipeline_file_names_what_is_compatible(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    converted(original("mean", tokens=(2, 1, 3)))
    data = yaml.safe_load((tmp_path / "out" / "pipeline.yaml").read_text())
    face, audio = data["encoders"]["face"], data["encoders"]["audio"]
    assert (face["channel_order"], face["spread"], face["resize"]) == ("bgr", "released", "squash")
    assert (audio["normalize"], audio["spread"], audio["resample"]) == ("batch", "released", "sinc")
    assert data["fusers"]["multi"]["normalize"] == "none" and data["fusers"]["multi"]["copies"] == 3
    prompt = data["prompt"]
    assert prompt["joined"] and prompt["answer_end"] == "###" and prompt["training_prefix"] == "<|im_start|>"
    assert "{multi}" in prompt["template"] and "<MultiHere>" not in prompt["template"]
    assert data["presence"] == "off"
    assert data["generation"]["stop"] == ["###"] and data["generation"]["sample"] is False
    training = data["training"]
    assert (training["steps"], training["lr"], training["min_lr"], training["target"]) == (20, 2e-5, 1e-5, "mixed")
    assert data["seed"] == 7
    converted(original(), out="sampled", sample=True)
    sampled = yaml.safe_load((tmp_path / "sampled" / "pipeline.yaml").read_text())["generation"]
    assert (sampled["sample"], sampled["top_p"], sampled["top_k"]) == (True, 0.9, 20)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda table: table.pop("order"), "cannot be read"),
        (lambda table: table.update(format=9), "cannot be read"),
        (lambda table: table.update(order=["x", "x"]), "cannot be read"),
        (lambda table: table["order"].append("other.weight"), "are not in this saved model"),
        (lambda table: table["order"].remove("fc_att.bias"), "no place for"),
        (lambda table: table.update(reads="nothing"), "unknown"),
        (lambda table: table["config"]["model"].update(video_fusion_type="mean"), "has no option for"),
    ],
)
def test_a_damaged_table_is_refused(
    damage: Callable[[Any], object],
    words: str,
    original: Callable[..., Path],
    converted: Callable[..., Any],
    tmp_path: Path,
) -> None:
    converted(original())
    path = tmp_path / "out" / "released" / "checkpoint.json"
    table = json.loads(path.read_text())
    damage(table)
    path.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=words):
        returned(tmp_path / "out", tmp_path / "again.pth")
    assert not (tmp_path / "again.pth").exists()


def test_another_saved_model_does_not_go_back(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    import shutil

    converted(original())
    shutil.rmtree(tmp_path / "out" / "released")
    with pytest.raises(CheckpointError, match="was not converted"):
        returned(tmp_path / "out", tmp_path / "again.pth")


def test_what_is_there_is_not_overwritten(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    checkpoint = original()
    converted(checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(CheckpointError, match="something at this place"):
        returned(tmp_path / "out", checkpoint)
    assert checkpoint.read_bytes() == before
