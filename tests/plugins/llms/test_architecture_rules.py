"""What no decoder can be is told at its key; what every class says of itself is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from affectgpt.plugins.llms.architecture_rules import check_architecture
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
from affectgpt.plugins.llms.decoder_facts import decoder_entry, decoder_types
from affectgpt.plugins.llms.refused_keys import CODE, DTYPES
from affectgpt.registry.errors import InterfaceError
from tests.plugins.llms.test_families import FAMILIES

NAN, INFINITE = float("nan"), float("inf")
SIZES = {key: value for key, value in FAMILIES["llama"].items() if key != "num_key_value_heads"}


@pytest.mark.parametrize(
    ("kind", "changes", "path"),
    [
        ("llama", {"attention_dropout": 2.0}, ("attention_dropout",)),
        ("llama", {"attention_dropout": -0.1}, ("attention_dropout",)),
        ("llama", {"rope_parameters": {"rope_type": "silly"}}, ("rope_parameters", "rope_type")),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, ("rope_parameters",)),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 0.5}}, ("rope_scaling", "factor")),
        ("llama", {"rope_theta": 0.0}, ("rope_theta",)),
        ("llama", {"head_dim": 7}, ("head_dim",)),
        ("llama", {"head_dim": 0}, ("head_dim",)),
        ("llama", {"head_dim": -8}, ("head_dim",)),
        ("llama", {"num_key_value_heads": 3}, ("num_key_value_heads",)),
        ("llama", {"hidden_act": "silly"}, ("hidden_act",)),
        ("llama", {"rms_norm_eps": -1.0}, ("rms_norm_eps",)),
        ("llama", {"initializer_range": -1.0}, ("initializer_range",)),
        ("llama", {"initializer_range": NAN}, ("initializer_range",)),
        ("llama", {"initializer_range": INFINITE}, ("initializer_range",)),
        ("llama", {"tie_word_embeddings": "no"}, ("tie_word_embeddings",)),
        ("llama", {"attention_bias": "yes"}, ("attention_bias",)),
        ("llama", {"intermediate_size": 0}, ("intermediate_size",)),
        ("llama", {"pad_token_id": 300}, ("pad_token_id",)),
        ("llama", {"bos_token_id": 300}, ("bos_token_id",)),
        ("llama", {"eos_token_id": [1, 300]}, ("eos_token_id",)),
        ("llama", {"pad_token_id": -2}, ("pad_token_id",)),
        ("qwen2", {"layer_types": ["full_attention"]}, ("layer_types",)),
        ("qwen2", {"layer_types": ["full_attention", "silly"]}, ("layer_types", 1)),
        ("qwen2", {"max_window_layers": -1}, ("max_window_layers",)),
        ("mistral", {"sliding_window": 0}, ("sliding_window",)),
        ("mistral", {"sliding_window": -1}, ("sliding_window",)),
        ("gemma", {"use_bidirectional_attention": True}, ("use_bidirectional_attention",)),
        ("gemma2", {"query_pre_attn_scalar": 0}, ("query_pre_attn_scalar",)),
        ("granite", {"logits_scaling": 0}, ("logits_scaling",)),
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 5}, ("num_experts_per_tok",)),
        ("qwen3_moe", {"moe_intermediate_size": 0}, ("moe_intermediate_size",)),
        ("qwen3_moe", {"decoder_sparse_step": 0}, ("decoder_sparse_step",)),
        ("deepseek_v3", {"n_group": 3}, ("n_group",)),
        ("deepseek_v3", {"topk_group": 9}, ("topk_group",)),
        ("mamba", {"state_size": 0}, ("state_size",)),
        ("mamba", {"time_step_rank": 0}, ("time_step_rank",)),
        ("mamba", {"time_step_rank": "silly"}, ("time_step_rank",)),
        ("mamba", {"expand": 0}, ("expand",)),
        ("mamba", {"conv_kernel": 0}, ("conv_kernel",)),
        ("gpt2", {"n_inner": 0}, ("n_inner",)),
        ("mpt", {"attn_config": {"attn_pdrop": 2.0}}, ("attn_config", "attn_pdrop")),
        ("mpt", {"attn_config": {"attn_type": "silly"}}, ("attn_config", "attn_type")),
        ("mpt", {"attn_config": {"silly": 1}}, ("attn_config", "silly")),
        ("bert", {}, ("model_type",)),
        ("bert", {"is_decoder": False}, ("is_decoder",)),
        ("xlnet", {}, ("model_type",)),
        ("t5", {}, ("model_type",)),
        ("vit", {}, ("model_type",)),
    ],
)
def test_what_no_decoder_can_be_is_told_at_its_key(kind: str, changes: dict[str, Any], path: tuple[str, ...]) -> None:
    sizes = SIZES if kind in ("llama", "qwen2", "mistral", "gemma", "gemma2", "granite", "mixtral", "qwen3_moe") else {}
    with pytest.raises(InterfaceError) as caught:
        check_architecture({"model_type": kind, **sizes, **changes})
    assert ("architecture", *path) in [problem.path for problem in caught.value.problems]


def test_the_defaults_of_every_class_are_accepted() -> None:
    for kind in decoder_types():
        entry = decoder_entry(kind)
        if "keys" in entry and "backward" not in entry and "." not in kind:
            check_architecture({"model_type": kind, **entry.get("defaults", {})})


@pytest.mark.slow
def test_what_every_class_says_of_itself_is_accepted() -> None:
    made, failures = 0, []
    for kind in decoder_types():
        entry = decoder_entry(kind)
        if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "keys" not in entry or entry.get("backward") is not None:
            continue
        try:
            values = AutoConfig.for_model(kind).to_dict()
        except Exception:  # a class without defaults for all that it needs
            continue
        made += 1
        try:
            check_architecture(json.loads(json.dumps(stated(values, kind))))
        except InterfaceError as error:
            failures += [f"{kind}: {problem}" for problem in error.problems]
    assert not failures, "\n".join(failures)
    assert made > 100


def stated(values: dict[str, Any], kind: str) -> dict[str, Any]:
    """The values of a config that an architecture may state, without what a file says of loading and of other tasks."""
    entry = decoder_entry(kind)
    names = {"model_type", *entry.get("keys", {})}
    inner = entry.get("sections", {})
    return {
        key: stated(value, value.get("model_type") or inner[key])
        if key in inner and isinstance(value, dict)
        else without_loaders(value)
        for key, value in values.items()
        if key in names and key not in (*CODE, *DTYPES)
    }


def without_loaders(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: without_loaders(inner) for key, inner in value.items() if key not in (*CODE, *DTYPES)}


@pytest.mark.parametrize(
    ("kind", "key"), [("llama", "rms_norm_eps"), ("mamba", "layer_norm_epsilon"), ("gpt2", "embd_pdrop")]
)
def test_a_whole_number_that_its_rule_refuses_is_not_told_to_be_written_with_a_point(kind: str, key: str) -> None:
    def problem(value: float) -> str:
        with pytest.raises(InterfaceError) as caught:
            check_architecture({"model_type": kind, key: value})
        return next(problem.what for problem in caught.value.problems if problem.path == ("architecture", key))

    assert problem(-1) == problem(-1.0) == problem(-3)


@pytest.mark.parametrize("kind", [5, 0.5, True, None, ["qwen2"], {"qwen2": 1}])
def test_a_model_type_that_is_no_text_is_shown(kind: Any) -> None:
    with pytest.raises(ValueError, match="is no name") as caught:
        CausalLMConfig(init="random", architecture={"model_type": kind})
    assert repr(kind)[:5] in str(caught.value)


@pytest.mark.parametrize("kind", ["mamba", "deepseek_v3", "qwen2"])
def test_a_width_that_nobody_stated_is_asked_for_beside_the_default(kind: str) -> None:
    with pytest.raises(InterfaceError, match="states no width") as caught:
        CausalLMConfig(init="random", architecture={"model_type": kind}).infer()
    assert f"hidden_size: {decoder_entry(kind)['defaults']['hidden_size']}" in str(caught.value)
