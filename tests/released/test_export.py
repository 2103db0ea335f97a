"""What a checkpoint could not express is refused on the way back, and what the account then says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError
from affectgpt.released.export import export_checkpoint
from affectgpt.released.report import ConversionReport


def returned(folder: Path, out: Path) -> ConversionReport:
    return export_checkpoint(folder, out, discover())


def test_ties_are_told_on_the_way_back(
    models: Any, original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    head = load_file(models.llm / "model.safetensors")["lm_head.weight"]
    name = "llama_model.base_model.model.lm_head.weight"
    converted(original(change=lambda content: content["model"].update({name: head})))
    assert [row.name for row in returned(tmp_path / "out", tmp_path / "again.pth").with_fate("tied")] == [name]


def test_an_adapter_of_another_form_does_not_go_back(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    converted(original())
    path = tmp_path / "out" / "adapter" / "adapter_model.safetensors"
    stored = load_file(path)
    for cut, words in (
        (lambda name, value: value[:8] if "lora_A" in name else value[:, :8], "another rank"),
        (lambda name, value: value[:, :8] if "lora_A" in name else value, "another shape"),
    ):
        save_file({name: cut(name, value).contiguous() for name, value in stored.items()}, path)
        with pytest.raises(CheckpointError, match=words):
            returned(tmp_path / "out", tmp_path / "again.pth")
        assert not (tmp_path / "again.pth").exists()


@pytest.mark.parametrize("epoch", [-1, 2**31 + 5, 2**70])
def test_an_epoch_that_no_training_reached(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path, epoch: int
) -> None:
    converted(original())
    table = tmp_path / "out" / "released" / "checkpoint.json"
    table.write_text(json.dumps({**json.loads(table.read_text()), "epoch": epoch}))
    with pytest.raises(CheckpointError, match="a value has the wrong type"):
        returned(tmp_path / "out", tmp_path / "again.pth")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool, torch.int64, torch.float8_e4m3fn], ids=str)
def test_tensors_of_other_types_do_not_go_back(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path, dtype: torch.dtype
) -> None:
    converted(original())
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    name = next(value for value in tensors if value.startswith("projectors."))
    save_file({**tensors, name: tensors[name].to(dtype)}, tmp_path / "out" / "model.safetensors")
    with pytest.raises(CheckpointError, match="of a type") as caught:
        returned(tmp_path / "out", tmp_path / "again.pth")
    assert name in str(caught.value)
    (tmp_path / "out" / "model.safetensors").write_bytes(before)
    if dtype != torch.int64:
        sidecar = tmp_path / "out" / "released" / "tensors.safetensors"
        stored = load_file(sidecar)
        save_file({value: tensor.to(dtype) for value, tensor in stored.items()}, sidecar)
        with pytest.raises(CheckpointError, match="no plain tensor"):
            returned(tmp_path / "out", tmp_path / "again.pth")
    assert not (tmp_path / "again.pth").exists()


def test_options_that_the_original_does_not_have_do_not_go_back(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    converted(original())
    file = tmp_path / "out" / "pipeline.yaml"
    tree = yaml.safe_load(file.read_text())
    changes: dict[tuple[str, ...], Any] = {
        ("encoders", "face", "channel_order"): "rgb",
        ("encoders", "audio", "layers"): 3,
        ("fusers", "multi", "normalize"): "softmax",
        ("fusers", "face_tokens", "scale"): 2.0,
        ("fusers", "audio_tokens", "copies"): 2,
        ("llm", "lora", "alpha"): 999,
    }
    for path, value in changes.items():
        node = tree
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    tree["encoders"]["face"]["model"] = "/moved/elsewhere"
    file.write_text(yaml.safe_dump(tree))
    with pytest.raises(CheckpointError) as caught:
        returned(tmp_path / "out", tmp_path / "again.pth")
    results = [problem.what.rpartition(" ")[2] for problem in caught.value.problems]
    assert sorted(results) == sorted(".".join(path) for path in changes)
    assert not (tmp_path / "again.pth").exists()


def test_what_is_written_back_has_the_usual_rights_and_leaves_nothing_when_stopped(
    original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted(original())
    before = os.umask(0o077)
    try:
        returned(tmp_path / "out", tmp_path / "again.pth")
    finally:
        os.umask(before)
    assert (tmp_path / "again.pth").stat().st_mode & 0o777 == 0o600

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    present = sorted(tmp_path.iterdir())
    monkeypatch.setattr("affectgpt.released.export.os.fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        returned(tmp_path / "out", tmp_path / "more.pth")
    assert sorted(tmp_path.iterdir()) == present


def test_what_did_nothing_is_told(original: Callable[..., Path], converted: Callable[..., Any]) -> None:
    def change_content(content: dict[str, Any]) -> None:
        content["config"]["datasets"]["mercaptionplus"]["label_type"] = "sentiment"

    notes = converted(original(change=change_content)).notes
    assert any("label_type 'sentiment' is unknown" in note for note in notes)
    assert any("bert was not used" in note for note in notes)
    with pytest.raises(CheckpointError, match="face_or_frame ''"):
        converted(original(), out="second", face_or_frame="")


@pytest.mark.parametrize(("heads", "multi"), [(2, "multiface_audio_face_frame_text")])
def test_pictures_and_heads_are_the_right_ones(
    heads: int, multi: str, original: Callable[..., Path], converted: Callable[..., Any], tmp_path: Path
) -> None:
    words = tmp_path / "other.yaml"
    words.write_text("{template: '<MultiHere><AudioHere><FaceHere><FrameHere>{subtitle} {question}', question: How?}")
    converted(original("qformer", "qformer", "qformer", tokens=(4, 4, 4), reads=multi), prompt=words)
    content = yaml.safe_load((tmp_path / "out" / "pipeline.yaml").read_text())
    assert content["fusers"]["multi"]["inputs"] == ["face", "audio"]
    assert (
        content["encoders"]["frame"]["channel_order"] == "rgb" and content["encoders"]["face"]["channel_order"] == "bgr"
    )
    assert all(node["heads"] == heads for node in content["fusers"].values())
