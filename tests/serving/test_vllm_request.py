"""The body of a request: what the server is told, field by field."""

from __future__ import annotations

import base64
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.config import GenerationConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import ConfigError, InterfaceError
from affectgpt.serving.vllm_request import base64_tensor, check_servable, request_body, sampling


def decoded(text: str) -> torch.Tensor:
    return torch.load(io.BytesIO(base64.b64decode(text, validate=True)), weights_only=True)


def test_the_whole_body_of_a_greedy_request() -> None:
    embeds = torch.randn(3, 4)
    body = request_body(embeds, GenerationConfig(max_new_tokens=7, stop=["###", "\n"]), model="mine", end_ids=[5, 6])
    assert torch.equal(decoded(body.pop("prompt_embeds")), embeds)
    assert body == {
        "model": "mine",
        "prompt": None,
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": ["###", "\n"],
        "stop_token_ids": [5, 6],
        "skip_special_tokens": True,
    }


def test_sampling_settings_reach_the_server() -> None:
    settings = GenerationConfig(sample=True, temperature=0.7, top_p=0.9, top_k=20, repetition_penalty=1.1)
    message = sampling(settings, seed=11)
    assert (message["temperature"], message["top_p"], message["top_k"], message["repetition_penalty"]) == (
        0.7,
        0.9,
        20,
        1.1,
    )
    assert message["seed"] == 11 and "seed" not in sampling(GenerationConfig(), seed=11)


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.integers(0, 2**16),
)
def test_embeddings_come_back_bit_for_bit(length: int, width: int, dtype: torch.dtype, seed: int) -> None:
    embeds = torch.randn(length, width, generator=torch.Generator().manual_seed(seed)).to(dtype)
    result = decoded(base64_tensor(embeds))
    assert torch.equal(result, embeds) and result.dtype == dtype


def test_of_a_slice_only_the_slice_is_sent() -> None:
    remaining = torch.randn(1000, 8, requires_grad=True)
    result = decoded(base64_tensor(remaining[2:5, ::2]))
    assert torch.equal(result, remaining[2:5, ::2]) and result.untyped_storage().nbytes() == 3 * 4 * 4
    assert not result.requires_grad


@pytest.mark.parametrize("wrong", [torch.randn(1, 2, 3), torch.randn(3), torch.zeros(0, 4), torch.zeros(2, 2).long()])
def test_what_is_no_prompt_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(InterfaceError, match="not the embeddings"):
        base64_tensor(wrong)


def test_beams_are_refused(pipeline: Pipeline) -> None:
    check_servable(pipeline.plan.config)
    beams = pipeline.plan.config.generation.model_copy(update={"beams": 4})
    with pytest.raises(ConfigError, match="beams"):
        check_servable(pipeline.plan.config.model_copy(update={"generation": beams}))
