"""A random model of a few kilobytes, in memory and as a folder on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig

GROUPS = "num_key_value_heads"
SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    GROUPS: 2,
    "max_position_embeddings": 256,
}


def architecture(kind: str = "qwen2", **changes: Any) -> dict[str, Any]:
    sizes = {key: value for key, value in SIZES.items() if kind != "gpt2" or key not in ("intermediate_size", GROUPS)}
    return {"model_type": kind, **sizes, **changes}


def random_config(kind: str = "qwen2", *, sizes: dict[str, Any] | None = None, **options: Any) -> CausalLMConfig:
    return CausalLMConfig(init="random", architecture=architecture(kind, **(sizes or {})), **options)


def built(config: CausalLMConfig) -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(config, config.infer()).eval()


@pytest.fixture(scope="session")
def build() -> Callable[[CausalLMConfig], CausalLM]:
    """Builds a config with seed 0, in evaluation mode."""
    return built


@pytest.fixture(scope="session")
def configured() -> Callable[..., CausalLMConfig]:
    """`configured(kind, sizes={...}, **options)`: the config of a small random model."""
    return random_config


@pytest.fixture(scope="session")
def _saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny-qwen2"
    llm = built(random_config())
    llm.model.save_pretrained(folder)
    llm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(_saved: Path, tmp_path: Path) -> Path:
    """The folder of a random qwen2 with a byte tokenizer; the test may change it."""
    return Path(shutil.copytree(_saved, tmp_path / "tiny-qwen2"))


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """`rewrite(file, **changes)` changes values of a JSON file; the value None removes one."""

    def change(file: Path, **changes: Any) -> None:
        values = {**json.loads(file.read_text(encoding="utf-8")), **changes}
        file.write_text(
            json.dumps({key: value for key, value in values.items() if value is not None}), encoding="utf-8"
        )

    return change


@pytest.fixture(autouse=True)
def _isolate_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No other model of this machine is found, nothing is downloaded, nothing is printed."""
    from huggingface_hub import constants

    monkeypatch.delenv("AFFECTGPT_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    torch.set_num_threads(1)
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.set_verbosity(before)
