"""`causal-lm` over small random decoders of every common family: by ids and by embeddings, alone and in batches."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from affectgpt.core.answer_losses import NO_TARGET
from affectgpt.core.config import GenerationConfig
from affectgpt.plugins.llms import chunked_losses
from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig, LoRA
from affectgpt.plugins.llms.decoder_facts import Decoder
from affectgpt.registry.errors import InterfaceError

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
WINDOWED = {**GROUPED, "head_dim": 8, "sliding_window": 16}
EXPERTS = {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}
# The picture encoder that a class brings is built too, and has 400 million weights by default.
SIGHT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
NO_IDS = {"hidden_size_per_layer_input": 0}
FAMILIES = {
    "qwen2": GROUPED,
    "gpt2": {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.2},
    "gemma3_text": {**WINDOWED, "layer_types": ["sliding_attention", "full_attention"]},
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 16},
    "qwen3": {**GROUPED, "head_dim": 8},
    "gemma": {**GROUPED, "head_dim": 8},
    "gemma2": {**WINDOWED, "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 8},
    "gemma3": {
        "text_config": {**WINDOWED, "layer_types": ["sliding_attention", "full_attention"]},
        "vision_config": SIGHT,
    },
    "gemma4_text": {
        **WINDOWED,
        **NO_IDS,
        "layer_types": ["sliding_attention", "full_attention"],
        "global_head_dim": 8,
        "num_global_key_value_heads": 2,
        "vocab_size_per_layer_input": 300,
    },
    "phi3": {**GROUPED, "pad_token_id": 0, "original_max_position_embeddings": 256},
    "gpt_neox": SIZES,
    "opt": {
        "vocab_size": 300,
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "word_embed_proj_dim": 16,
        "init_std": 0.2,
    },
    "bloom": {"vocab_size": 300, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "falcon": {key: value for key, value in SIZES.items() if key != "intermediate_size"},
    "mpt": {
        "vocab_size": 300,
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 256,
        "initializer_range": 0.2,
    },
    "mixtral": EXPERTS,
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "granite": GROUPED,
    "cohere": GROUPED,
    "cohere2": {**GROUPED, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]},
    "smollm3": {**GROUPED, "pad_token_id": 0},
    "mamba": {
        "vocab_size": 300,
        "hidden_size": 32,
        "state_size": 8,
        "num_hidden_layers": 2,
        "time_step_rank": 4,
        "initializer_range": 0.2,
    },
}
QUICK = ("qwen2", "gpt2", "gemma3_text")
LONG, SHORT, NEW = 40, 12, 8


def config_of(family: str, **options) -> CausalLMConfig:
    return CausalLMConfig(init="random", architecture={"model_type": family, **FAMILIES[family]}, **options)


def build(family: str, **options) -> CausalLM:
    config = config_of(family, **options)
    torch.manual_seed(0)
    return CausalLM(config, config.infer()).eval()


def one_row(llm: CausalLM, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return llm.logits(llm.embed(ids)[None], torch.ones(1, len(ids), dtype=torch.bool))[0]


def in_a_batch(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    embeds = torch.zeros(len(rows), max(map(len, rows)), rows[0].shape[1])
    mask = torch.zeros(embeds.shape[:2], dtype=torch.bool)
    for index, row in enumerate(rows):
        embeds[index, -len(row) :], mask[index, -len(row) :] = row, True
    return embeds, mask


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)
def test_a_family_gives_the_same_numbers_by_every_way(family):
    llm = build(family)
    ids = torch.randint(3, 250, (LONG,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        by_ids = llm.model(input_ids=ids[None], use_cache=False).logits[0]
    scale = by_ids.abs().max()
    torch.testing.assert_close(one_row(llm, ids), by_ids, atol=1e-5 * scale, rtol=1e-5)

    short = llm.embed(ids[:SHORT])
    embeds, mask = in_a_batch([llm.embed(ids), short])
    with torch.no_grad():
        batched = llm.logits(embeds, mask)[1, -SHORT:]
    torch.testing.assert_close(batched, one_row(llm, ids[:SHORT]), atol=1e-5 * scale, rtol=1e-4)

    settings = GenerationConfig(max_new_tokens=NEW)
    with torch.no_grad():
        single = llm.generate(short[None], torch.ones(1, SHORT, dtype=torch.bool), settings)[0]
        assert llm.generate(embeds, mask, settings)[1] == single
    recomputed = ids[:SHORT].tolist()
    for _ in range(NEW):
        token = int(one_row(llm, torch.tensor(recomputed))[-1].argmax())
        if token in llm.end_ids():
            break
        recomputed.append(token)
    assert recomputed[SHORT:] == single

    llm.train().logits(embeds.requires_grad_(), mask)[mask].sum().backward()
    assert torch.isfinite(embeds.grad).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_targets_are_layers_of_the_built_model(family):
    names = {name.rpartition(".")[2] for name, _ in build(family).model.named_modules()}
    targets = Decoder(config_of(family).values(), family).targets
    assert targets and targets <= names


def test_layers_of_cross_attention_are_no_targets():
    with pytest.raises(InterfaceError, match="gpt2 has no layer 'q_attn' for an adapter"):
        config_of("gpt2", lora=LoRA(targets=("c_attn", "q_attn"))).infer()


@pytest.mark.parametrize("family", [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES])
def test_lora_reaches_every_target_that_check_lets_through(family):
    targets = Decoder(config_of(family).values(), family).targets
    llm = build(family, lora=LoRA(r=2, dropout=0.0, targets=tuple(sorted(targets))))
    reached = {
        name.split(".lora_")[0].rpartition(".")[2] for name, _ in llm.model.named_parameters() if ".lora_" in name
    }
    assert reached == targets
    if not set(LoRA().targets) & targets:
        with pytest.raises(InterfaceError, match=r"has no layer 'q_proj'"):
            config_of(family, lora=LoRA()).infer()


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)
def test_losses_of_some_tokens_are_those_of_the_whole_logits(family, monkeypatch):
    monkeypatch.setattr(chunked_losses, "CHUNK", 5)
    llm = build(family, frozen=False)
    ids = torch.randint(3, 250, (3, LONG), generator=torch.Generator().manual_seed(2))
    mask = torch.ones(ids.shape, dtype=torch.bool)
    mask[1, SHORT:] = False
    targets = torch.full(ids.shape, NO_TARGET)
    targets[0, 7:18], targets[1, 4:SHORT], targets[2, -1] = ids[0, 8:19], ids[1, 5 : SHORT + 1], 9

    def losses_and_gradients(by_logits: bool) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        llm.zero_grad()
        embeds = llm.embed(ids.flatten()).view(*ids.shape, -1)
        if by_logits:
            places = targets != NO_TARGET
            losses = cross_entropy(llm.logits(embeds, mask)[places], targets[places], reduction="none")
        else:
            losses = llm.token_losses(embeds, mask, targets)
        losses.square().sum().backward()
        return losses.detach(), [weight.grad for weight in llm.parameters()]

    expected, gradients = losses_and_gradients(True)
    losses, own_gradients = losses_and_gradients(False)
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(own_gradients, gradients, atol=1e-4, rtol=1e-3)
    with torch.no_grad():
        embeds = llm.embed(ids.flatten()).view(*ids.shape, -1)
        torch.testing.assert_close(llm.token_losses(embeds, mask, targets), expected, atol=1e-5, rtol=1e-5)
