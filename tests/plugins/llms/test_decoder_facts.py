"""What is known of decoders without transformers, against the installed transformers; and what `check` makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig, LoRA
from affectgpt.plugins.llms.decoder_facts import Decoder
from affectgpt.plugins.llms.make_decoder_facts import FILE, decoders
from affectgpt.registry.errors import InterfaceError

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gemma3", "mamba", "phi3"])
def test_the_file_says_what_the_installed_transformers_does(kind: str) -> None:
    import transformers

    facts = json.loads(FILE.read_text(encoding="utf-8"))
    if facts["transformers"] != transformers.__version__:
        pytest.skip(f"made from transformers {facts['transformers']}: make facts")
    entry, stored = decoders([kind])[kind], facts["decoders"][kind]
    assert stored == {**entry, "keys": stored["keys"]}
    stated = {key: types for key, types in entry["keys"].items() if types != "any"}
    assert stored["keys"].keys() == entry["keys"].keys() and stated.items() <= stored["keys"].items()


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"hidden_szie": 8}, ("hidden_szie",), "did you mean 'hidden_size'"),
        ({"hidden_size": 30}, ("num_attention_heads",), "does not divide"),
        ({"num_key_value_heads": 3}, ("num_key_value_heads",), "do not divide"),
        ({"hidden_size": "32"}, ("hidden_size",), "wrong type"),
        ({"initializer_range": 1}, ("initializer_range",), "write 1.0"),
        ({"hidden_act": "silly"}, ("hidden_act",), "no activation"),
        ({"num_hidden_layers": 0}, ("num_hidden_layers",), "above 0"),
        ({"vocab_size": 200}, ("vocab_size",), "257 token ids"),
        ({"model_type": "lama"}, ("model_type",), "did you mean 'llama'"),
        ({"model_type": "clip"}, ("model_type",), "no decoder"),
        ({"auto_map": {"AutoModelForCausalLM": "x--y.Z"}}, ("auto_map",), "names code"),
        ({"dtype": "float16"}, ("dtype",), "option of the node"),
        (
            {"model_type": "gemma3", "text_config": {"quantization_config": {}}},
            ("text_config", "quantization_config"),
            "code",
        ),
    ],
)
def test_what_an_architecture_cannot_say_is_refused_at_its_key(
    changes: dict[str, Any], path: tuple[str, ...], words: str
) -> None:
    config = CausalLMConfig(init="random", architecture={**LLAMA, **changes})
    with pytest.raises(InterfaceError, match=words) as caught:
        config.infer()
    assert ("architecture", *path) in [problem.path for problem in caught.value.problems]


def test_sizes_have_the_names_of_the_family() -> None:
    gpt2 = Decoder({"model_type": "gpt2", "n_embd": 24, "n_positions": 77}, "")
    assert (gpt2.width(), gpt2.context()) == (24, 77)
    nested = Decoder({"model_type": "gemma3", "text_config": {"hidden_size": 24, "max_position_embeddings": 9}}, "")
    assert (nested.width(), nested.context()) == (24, 9)
    assert Decoder({"model_type": "bloom", "hidden_size": 8}, "").context() is None
    newer = Decoder({"model_type": "made-tomorrow", "d_model": 8, "max_seq_len": 5}, "")
    assert (newer.width(), newer.context()) == (8, 5)
    with pytest.raises(InterfaceError, match="no hidden_size"):
        Decoder({"model_type": "llama"}, "").width()


def test_inputs_per_layer_are_refused() -> None:
    with pytest.raises(InterfaceError, match="ids of its tokens in every layer"):
        CausalLMConfig(init="random", architecture={**LLAMA, "model_type": "gemma3n_text"}).infer()


def test_adapters_go_where_there_are_layers() -> None:
    def config(*targets: str, kind: str = "llama") -> CausalLMConfig:
        lora = LoRA(targets=targets) if targets else LoRA()
        sizes = {**LLAMA, "model_type": kind, **({"pad_token_id": 0} if kind == "phi3" else {})}
        return CausalLMConfig(init="random", architecture=sizes, lora=lora)

    assert config().notes() == []
    config(kind="phi3").infer()
    (note,) = config(kind="phi3").notes()
    assert "q_proj" in note and "qkv_proj" in note
    with pytest.raises(InterfaceError, match="has no layer 'nope'") as caught:
        config("q_proj", "nope").infer()
    assert caught.value.problems[0].path == ("lora", "targets", 1)


LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}


@pytest.mark.parametrize(
    ("rope", "limit"),
    [
        ({**LONG, "original_max_position_embeddings": 32}, 32),
        ({"type": "su"}, 256),
        ({"rope_type": "dynamic", "factor": 2.0}, 256),
        ({"rope_type": "default"}, None),
        ({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}, None),
        ({"rope_type": ["longrope"]}, None),
        ([], None),
    ],
)
def test_rotations_by_the_longest_row_are_noted(rope: Any, limit: int | None) -> None:
    assert Decoder({**LLAMA, "max_position_embeddings": 256, "rope_parameters": rope}, "").rotation_limit() == limit


def test_the_note_names_the_limit() -> None:
    sizes = {**LLAMA, "model_type": "phi3", "pad_token_id": 0, "max_position_embeddings": 256}
    rope = {**LONG, "original_max_position_embeddings": 32}
    (note,) = CausalLMConfig(init="random", architecture={**sizes, "rope_parameters": rope}).notes()
    assert "within 32 tokens" in note


CODE = {"auto_map": {"AutoModel": "x--y.Z"}}
QUANTIZED = {"quantization_config": {"quant_method": "awq"}}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"model_type": "gemma3", "vision_config": {"model_type": "align_text_model", **CODE}}, ("vision_config",)),
        ({"model_type": "gemma3", "vision_config": QUANTIZED}, ("vision_config",)),
        ({"model_type": "musicgen", "text_encoder": CODE}, ("text_encoder",)),
        ({**LLAMA, "rope_parameters": CODE}, ("rope_parameters",)),
        ({"model_type": "mpt", "attn_config": CODE}, ("attn_config",)),
        ({**LLAMA, "layer_types": ["full_attention", [CODE]]}, ("layer_types", 1, 0)),
    ],
)
def test_code_is_refused_at_any_depth(values: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(InterfaceError) as caught:
        CausalLMConfig(init="random", architecture=values).infer()
    problems = [problem for problem in caught.value.problems if "names code" in problem.what]
    assert [problem.path[1:-1] for problem in problems] == [path]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({**LLAMA, "num_hidden_layers": 100_000_000}, ("num_hidden_layers",)),
        ({"model_type": "gpt2", "n_layer": 5000}, ("n_layer",)),
        ({"model_type": "gemma3", "text_config": {"num_hidden_layers": 10**7}}, ("text_config", "num_hidden_layers")),
        ({"model_type": "gpt_neo", "attention_types": [[["global"], 3 * 10**8]]}, ("attention_types", 0, 1)),
    ],
)
def test_layers_without_end_are_refused_before_anything_is_built(
    values: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(InterfaceError) as caught:
        CausalLMConfig(init="random", architecture=values).infer()
    assert ("architecture", *path) in [problem.path for problem in caught.value.problems if "layers" in problem.what]
