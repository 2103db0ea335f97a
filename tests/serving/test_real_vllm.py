"""Texts of a real vLLM on this CPU are those of `describe`, with and without an adapter.

It has an environment of its own, which `tools/vllm_cpu.sh make` of the reference folder builds ($VLLM_PLACE).
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

import affectgpt as ag
from affectgpt.core.saved.model import save

CLIPS = 20
CONFIG = """\
seed: 3
encoders:
  audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 4}
  face: {plugin: timm, model: test_vit, init: random, frames: 3, size: 32, model_args: {img_size: 32}, features: 64}
fusers:
  audio_tokens: {plugin: temporal-attention, inputs: [audio]}
  multi: {plugin: modality-attention, inputs: [face, audio]}
llm: {plugin: causal-lm}
prompt: {template: affectgpt, order: [multi, audio_tokens, subtitle], max_subtitle_tokens: 40}
generation: {max_new_tokens: 24}
"""
LORA = {"r": 4, "alpha": 64, "targets": ["q_proj", "v_proj", "down_proj"]}


@dataclass(frozen=True)
class Served:
    """The address of a server, and the saved models `plain` and `adapted`, whose language model it has."""

    url: str
    models: dict[str, Path]


def write_base(folder: Path) -> None:
    """A small language model whose answers differ from prompt to prompt; with heads of 64, as vLLM's kernels want."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from affectgpt.plugins.llms.tokenizer import byte_tokenizer

    torch.manual_seed(1)
    config = AutoConfig.for_model(
        "qwen2",
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        vocab_size=304,
        eos_token_id=256,
        initializer_range=0.3,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def write_model(folder: Path, base: Path, lora: bool) -> None:
    config = yaml.safe_load(CONFIG)
    config["llm"] |= {"model": str(base)} | ({"lora": LORA} if lora else {})
    torch.manual_seed(2)
    pipeline = ag.build(config)
    with torch.no_grad():
        for name, weight in pipeline.named_parameters():
            if "lora_" in name or name.startswith("projectors"):
                weight.normal_(std=0.3)
    save(pipeline, folder)


@pytest.fixture(scope="module")
def served(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    script = shared / "tools" / "vllm_cpu.sh"
    place = Path(os.environ.get("VLLM_PLACE", Path(tempfile.gettempdir()) / "affectgpt-vllm"))
    if not (place / "venv" / "bin" / "vllm").is_file():
        pytest.skip(f"no vLLM in {place}: VLLM_PLACE names another folder")
    folder = tmp_path_factory.mktemp("served")
    write_base(folder / "base")
    models = {name: folder / name for name in ("plain", "adapted")}
    for name, path in models.items():
        write_model(path, folder / "base", name == "adapted")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    adapter = f"mine={models['adapted'] / 'adapter'}"
    command = ["bash", str(script), "start", str(folder / "base"), port, str(folder / "pid"), "--lora-modules", adapter]
    start = subprocess.run(command, capture_output=True, text=True, timeout=420)
    try:
        assert start.returncode == 0, start.stdout + start.stderr
        yield Served(f"http://127.0.0.1:{port}/v1", models)
    finally:
        subprocess.run(["bash", str(script), "stop", str(folder / "pid")], timeout=60, check=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from affectgpt.synthetic.clips import write_clips
    from affectgpt.synthetic.difficulty import Difficulty

    folder = tmp_path_factory.mktemp("clips") / "train"
    write_clips(folder, clips=CLIPS, seed=1, workers=1, difficulty=Difficulty(seconds=(1.0, 1.5)))
    return sorted((folder / "video").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "adapted"])
def test_the_texts_are_those_of_describe(
    served: Served, clips: list[Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = served.models[name]
    served_model = "mine" if name == "adapted" else str(folder.parent / "base")
    run = ag.describe_on_server(folder, clips, served.url, served_model=served_model)
    texts = [row.text for row in run]
    expected = [row.text for row in ag.load(folder).describe(clips)]
    assert texts == expected
    assert len(texts) == CLIPS and len(set(texts)) >= 5 and all(texts)
