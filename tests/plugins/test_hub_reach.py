"""A model that is not on this machine, and a hub that does not answer: one error at once, from every plugin."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from affectgpt.plugins.encoders.loading import load_pretrained
from affectgpt.plugins.encoders.open_clip_vision import _file
from affectgpt.plugins.encoders.timm_base import TimmConfig
from affectgpt.plugins.encoders.timm_model import _weights
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.llms.causal_lm import _pretrained
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
from affectgpt.plugins.llms.tokenizer import read_tokenizer
from affectgpt.registry.errors import CheckpointError

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub at a port where nobody listens, and a client that fails when it wants to wait and try again."""
    from huggingface_hub import close_session, constants

    def impatient(seconds: float) -> None:
        raise AssertionError(f"it waits for {seconds} s")

    monkeypatch.delenv("AFFECTGPT_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(time, "sleep", impatient)
    close_session()
    return tmp_path / "hub"


def encoder() -> object:
    from transformers import CLIPVisionModel

    return load_pretrained(CLIPVisionModel, "some/model", None, dtype="float32", allow_pickle=False)


NEEDS: dict[str, Callable[[], object]] = {
    "an encoder": encoder,
    "timm": lambda: _weights(TimmConfig(model="resnet18", input="face"), "timm"),
    "open_clip": lambda: _file("some/model"),
    "a language model": lambda: _pretrained(CausalLMConfig(model="some/model")),
    "a tokenizer": lambda: read_tokenizer("some/model"),
}


@pytest.mark.parametrize("who", NEEDS)
def test_a_hub_that_does_not_answer_is_one_error_without_waiting(who: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        NEEDS[who]()
    message = str(raised.value)
    assert "cannot be reached" in message and NOWHERE in message and "hf download" in message


def test_files_in_the_cache_are_left_to_the_client(unreachable: Path) -> None:
    (unreachable / "models--some--model" / "snapshots").mkdir(parents=True)
    check_hub("some/model")


def test_offline_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_hub("some/model")
