"""A chat template beside a model that the prompt does not follow is noted, and never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectgpt.core.config import PromptConfig
from affectgpt.core.prompt import build_parts, turn_notes
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig

TURNS = "{{ bos }}<|user|>{{ messages }}<|end|>{% while %}{{ ''.__class__ }}"
FORMS: list[tuple[str, Any]] = [
    ("chat_template.jinja", TURNS),
    ("chat_template.json", {"chat_template": TURNS}),
    ("tokenizer_config.json", {"chat_template": TURNS, "bos_token": "<s>"}),
    ("tokenizer_config.json", {"chat_template": [{"name": "default", "template": TURNS}]}),
]


def write(folder: Path, name: str, content: Any) -> CausalLMConfig:
    added = [{"id": number, "content": token} for number, token in enumerate(["<s>", "<|end|>", "<|user|>", "<|pad|>"])]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return CausalLMConfig(model=str(folder))


def notes(config: CausalLMConfig, template: str, answer_end: str = "") -> list[str]:
    prompt = PromptConfig(template=template, answer_end=answer_end)
    return turn_notes(prompt, build_parts(prompt, {}), config.turn_markers())


@pytest.mark.parametrize(("name", "content"), FORMS)
def test_the_markers_are_named_where_the_prompt_has_none(tmp_path: Path, name: str, content: Any) -> None:
    config = write(tmp_path, name, content)
    assert config.turn_markers() == ["<|user|>", "<|end|>"]
    (note,) = notes(config, "Human: {question}\nAssistant: ")
    assert "<|user|>" in note and "<|end|>" in note and "prompt.answer_end" in note
    assert notes(config, "<|user|>{question}<|end|>") == []
    assert notes(config, "{question}", answer_end="<|end|>") == []


@pytest.mark.parametrize("content", ["no", "[]", "[" * 100_000, {"chat_template": 3}, {"chat_template": []}, {}])
def test_no_template_gives_no_note(tmp_path: Path, content: Any) -> None:
    assert notes(write(tmp_path, "tokenizer_config.json", content), "{question}") == []


def test_a_template_without_special_tokens_is_noted_too(tmp_path: Path) -> None:
    (note,) = notes(write(tmp_path, "chat_template.jinja", "### {{ messages }}"), "{question}")
    assert "names no special token" in note
