"""A cache serves the encoders that it was made with, and gives their weights back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from affectgpt.core.assembly import assemble
from affectgpt.core.plan import Plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import Encoded
from affectgpt.registry.errors import CheckpointError, ConfigError

Plans = Callable[..., Plan]
Clips = list[Example]


@pytest.fixture
def cache(encoded: Callable[..., Encoded], clips: Clips, tmp_path: Path) -> Path:
    """The folder of a cache."""
    encoded(clips)
    return tmp_path / "cache"


def refusal(folder: Path, plan: Plan) -> list[Any]:
    with pytest.raises(ConfigError) as caught:
        FeatureCache.open(folder).check_plan(plan)
    return list(caught.value.problems)


def test_the_plan_that_it_was_made_with_is_served(cache: Path, plan: Plans) -> None:
    opened = FeatureCache.open(cache)
    assert opened.encoders == ("audio", "face") and opened.unbuilt == ()
    opened.check_plan(plan())
    opened.check_plan(plan("fusers.multi.plugin=concat", "seed=9"))
    opened.check_plan(
        plan(
            "encoders.audio=null",
            "fusers.audio_tokens=null",
            "fusers.multi=null",
            "prompt.template='{face} {question}'",
        )
    )


def test_other_encoders_are_refused_and_the_options_named(cache: Path, plan: Plans) -> None:
    (problem,) = refusal(cache, plan("encoders.audio.n_mels=8"))
    assert problem.where == "encoders.audio" and "n_mels: 8" in problem.found and "n_mels: 16" in problem.expected
    assert "stack" not in problem.found
    (problem,) = refusal(cache, plan("encoders.face.frozen=false"))
    assert problem.where == "encoders.face.frozen"
    (problem,) = refusal(cache, plan("encoders.audio={plugin: timm-mel, model: resnet18, init: random}"))
    assert "plugin: 'timm-mel'" in problem.found and "plugin: 'mel'" in problem.expected
    both = refusal(cache, plan("encoders.face.frames=3", "encoders.audio.max_seconds=1"))
    assert [each.where for each in both] == ["encoders.audio", "encoders.face"]


@pytest.mark.parametrize("other", ["{face: found}", "{face: always}", "{voice: net, threshold: 0.4}"])
def test_another_presence_is_refused(cache: Path, plan: Plans, other: str) -> None:
    (problem,) = refusal(cache, plan(f"presence={other}"))
    assert problem.where == "presence" and problem.expected.startswith("off,") and "face: " in problem.found


def test_an_encoder_that_is_not_there_is_named(
    encoded: Callable[..., Encoded], clips: Clips, plan: Plans, tmp_path: Path
) -> None:
    encoded(clips[:1], names=["face"])
    (problem,) = refusal(tmp_path / "cache", plan())
    assert problem.where == "encoders.audio" and "face" in problem.found


def test_the_weights_are_put_back(cache: Path, plan: Plans) -> None:
    right, second = assemble(plan()), assemble(plan("seed=4"))
    fusers = {key: tensor.clone() for key, tensor in second.fusers.state_dict().items()}
    FeatureCache.open(cache).load_weights(second)
    for key, tensor in right.encoders.state_dict().items():
        assert torch.equal(tensor, second.encoders.state_dict()[key])
    assert all(torch.equal(tensor, fusers[key]) for key, tensor in second.fusers.state_dict().items())


def one_weight(path: Path) -> None:
    tensors = load_file(path)
    tensors["face.model.conv1.0.weight"][0] += 1
    save_file(tensors, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x7f"),
        lambda path: path.write_bytes(b""),
        one_weight,
        lambda path: save_file({"face.x": torch.zeros(1)}, path),
    ],
)
def test_weights_that_were_altered_are_refused(change: Callable[[Path], None], cache: Path, plan: Plans) -> None:
    change(cache / "encoders.safetensors")
    with pytest.raises(CheckpointError) as caught:
        FeatureCache.open(cache).load_weights(assemble(plan()))
    assert "encoders.safetensors" in str(caught.value)
