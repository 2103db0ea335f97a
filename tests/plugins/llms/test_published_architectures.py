"""What published config.json files say is accepted, and what contradicts one is told at its key."""

from __future__ import annotations

from typing import Any

import pytest

from affectgpt.plugins.llms.architecture_rules import check_architecture
from affectgpt.registry.errors import InterfaceError

NAN, INFINITE = float("nan"), float("inf")
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}
LONG = {"short_factor": [1.0] * 48, "long_factor": [1.5] * 48}
# Of published config.json files, what is special in each.
PUBLISHED: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "hidden_size": 4096, "pad_token_id": -1, "vocab_size": 32000},
    "llama-3.1": {
        "model_type": "llama",
        "num_key_value_heads": 8,
        "pretraining_tp": 1,
        "rope_scaling": {**LLAMA3, "factor": 8.0, "high_freq_factor": 4.0},
        "vocab_size": 128256,
    },
    "llama-4-scout": {
        "model_type": "llama4_text",
        "num_hidden_layers": 48,
        "no_rope_layers": [],
        "rope_scaling": {**LLAMA3, "factor": 16.0, "high_freq_factor": 1.0},
        "vocab_size": 202048,
    },
    "qwen2.5": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        "sliding_window": 131072,
        "use_sliding_window": False,
    },
    "qwen1.5-moe": {"model_type": "qwen2_moe", "sliding_window": 0, "use_sliding_window": False},
    "qwen3": {"model_type": "qwen3", "head_dim": 128, "num_key_value_heads": 8, "sliding_window": None},
    "mistral": {"model_type": "mistral", "num_key_value_heads": 8, "sliding_window": 4096},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 8, "router_jitter_noise": 0.0, "sliding_window": None},
    "dbrx": {"model_type": "dbrx", "ffn_config": {"moe_jitter_eps": 0, "moe_num_experts": 16, "moe_top_k": 4}},
    "gemma-2": {"model_type": "gemma2", "attn_logit_softcapping": 50.0, "query_pre_attn_scalar": 256},
    "gemma-3": {
        "model_type": "gemma3_text",
        "eos_token_id": [1, 106],
        "rope_local_base_freq": 10000,
        "sliding_window_pattern": 6,
    },
    "phi-3": {
        "model_type": "phi3",
        "attention_bias": False,
        "hidden_size": 3072,
        "num_attention_heads": 32,
        "pad_token_id": 32000,
        "rope_scaling": {**LONG, "type": "longrope"},
        "vocab_size": 32064,
    },
    "phi-3-su": {"model_type": "phi3", "hidden_size": 3072, "rope_scaling": {**LONG, "type": "su"}},
    "gpt2": {"model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_positions": 1024, "summary_type": "cls_index"},
    "falcon": {"model_type": "falcon", "alibi": False, "multi_query": True, "num_attention_heads": 71},
    "granite-4-h": {
        "model_type": "granitemoehybrid",
        "position_embedding_type": "nope",
        "time_step_limit": [0.0, INFINITE],
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3",
        "n_group": 8,
        "n_routed_experts": 256,
        "scoring_func": "sigmoid",
        "topk_group": 4,
        "topk_method": "noaux_tc",
    },
    "mamba2": {"model_type": "mamba2", "time_step_limit": [0.0, INFINITE], "time_step_rank": "auto"},
    "deepseek-v4": {
        "model_type": "deepseek_v4",
        "rope_parameters": {"main": {"rope_theta": 1e4}, "compress": {"rope_type": "yarn", "factor": 16.0}},
    },
    "gemma-4": {"model_type": "gemma4", "audio_config": None, "vision_config": None},
}


@pytest.mark.parametrize("values", PUBLISHED.values(), ids=PUBLISHED)
def test_published_configs_are_accepted(values: dict[str, Any]) -> None:
    check_architecture(values)


@pytest.mark.parametrize(
    ("name", "changes", "path"),
    [
        ("llama-4-scout", {"no_rope_layers": [1]}, ("no_rope_layers",)),
        ("mamba2", {"time_step_limit": [INFINITE, 1.0]}, ("time_step_limit", 0)),
        ("mamba2", {"time_step_limit": [0.0, NAN]}, ("time_step_limit", 1)),
        ("mamba2", {"time_step_max": INFINITE}, ("time_step_max",)),
        ("qwen1.5-moe", {"use_sliding_window": True}, ("sliding_window",)),
        ("mistral", {"sliding_window": 0}, ("sliding_window",)),
        ("mistral", {"rope_scaling": {"type": "su"}}, ("rope_scaling", "type")),
        ("gpt2", {"n_ctx": 512}, ("n_ctx",)),
        ("phi-3", {"attention_bias": True}, ("attention_bias",)),
    ],
)
def test_what_published_configs_do_not_say_is_told_at_its_key(
    name: str, changes: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(InterfaceError) as caught:
        check_architecture({**PUBLISHED[name], **changes})
    assert ("architecture", *path) in [problem.path for problem in caught.value.problems]
