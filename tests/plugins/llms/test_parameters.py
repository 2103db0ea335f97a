"""Counts that are declared before a weight exists, and what is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig, LoRA
from affectgpt.registry.errors import InterfaceError

Build = Callable[[CausalLMConfig], CausalLM]
Configured = Callable[..., CausalLMConfig]


@pytest.mark.parametrize("kind", ["qwen2", "llama", "mistral"])
@pytest.mark.parametrize(
    "sizes",
    [{}, {"tie_word_embeddings": True}, {"tie_word_embeddings": False}, {"head_dim": 16}, {"num_key_value_heads": 4}],
    ids=str,
)
def test_the_declared_count_is_the_models(
    build: Build, configured: Configured, kind: str, sizes: dict[str, Any]
) -> None:
    config = configured(kind, sizes=sizes)
    assert config.parameters() == sum(each.numel() for each in build(config).parameters())
    assert config.adapter_parameters() == 0


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_the_count_of_another_kind_is_unknown(configured: Configured, kind: str) -> None:
    config = configured(kind, lora=LoRA())
    assert config.parameters() is None and config.adapter_parameters() is None


@pytest.mark.parametrize("sizes", [{"attention_bias": True}, {"mlp_bias": True}], ids=str)
def test_a_llama_with_biases(build: Build, configured: Configured, sizes: dict[str, Any]) -> None:
    config = configured("llama", sizes=sizes)
    assert config.parameters() in (None, sum(each.numel() for each in build(config).parameters()))


@pytest.mark.parametrize("kind", ["qwen2", "mistral"])
def test_key_value_heads_left_to_a_default_that_does_not_fit(configured: Configured, kind: str) -> None:
    full = configured(kind).architecture
    assert full is not None
    config = CausalLMConfig(
        init="random", architecture={key: value for key, value in full.items() if key != "num_key_value_heads"}
    )
    with pytest.raises(InterfaceError, match=r"found: .* 4, num_key_value_heads (8|32) \(its default\)"):
        config.infer()


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize(
    "lora", [LoRA(), LoRA(r=3, targets=("q_proj", "v_proj")), LoRA(r=1, alpha=1, dropout=0, targets=("down_proj",))]
)
def test_lora_trains_its_adapter_only(build: Build, configured: Configured, kind: str, lora: LoRA) -> None:
    config = configured(kind, lora=lora)
    llm = build(config).train()
    assert llm.adapter() is not None
    trained = {name: parameter for name, parameter in llm.named_parameters() if parameter.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert config.adapter_parameters() == sum(parameter.numel() for parameter in trained.values())
    assert config.parameters() == sum(parameter.numel() for parameter in llm.parameters()) - config.adapter_parameters()
    embeds = torch.randn(2, 5, 32)
    llm.logits(embeds, torch.ones(2, 5, dtype=torch.bool)).square().sum().backward()
    for name, parameter in llm.named_parameters():
        assert (parameter.grad is not None) == (name in trained), name
    assert any(bool(parameter.grad.any()) for name, parameter in trained.items() if "lora_B" in name)


def test_a_new_adapter_changes_nothing_and_a_trained_one_does(build: Build, configured: Configured) -> None:
    plain, adapted = build(configured()), build(configured(lora=LoRA(r=4)))
    embeds, mask = torch.randn(2, 5, 32), torch.ones(2, 5, dtype=torch.bool)
    before = plain.logits(embeds, mask)
    torch.testing.assert_close(adapted.logits(embeds, mask), before)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    assert (adapted.logits(embeds, mask) - before).abs().max() > 0.01
    assert plain.adapter() is None


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_is_the_models_own_weights(build: Build, configured: Configured, frozen: bool) -> None:
    llm = build(configured(frozen=frozen))
    assert {each.requires_grad for each in llm.parameters()} == {not frozen}
