"""Every check catches the language model that breaks its promise, and no other check does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from affectgpt.registry.discovery import discover
from affectgpt.testing.llm_checks import CHECKS
from affectgpt.testing.verification import verify

BROKEN = Path(__file__).parent / "broken_llms.py"
SMALL = {
    "init": "random",
    "frozen": False,
    "architecture": {
        "model_type": "qwen2",
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
    },
}


def failing(name: str) -> dict[str, str]:
    torch.set_num_threads(1)
    results = verify(discover([str(BROKEN)]), "llm", name, SMALL)
    return {each.check: each.failure for each in results if each.failure}


def test_a_model_that_keeps_every_promise_passes() -> None:
    assert failing("causal-lm") == {}


@pytest.mark.parametrize("check", CHECKS)
def test_a_broken_promise_is_caught_by_its_check_alone(check: str) -> None:
    failures = failing(check)
    assert list(failures) == [check], failures
