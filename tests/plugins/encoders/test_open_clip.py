from __future__ import annotations

from pathlib import Path
from typing import Any

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
