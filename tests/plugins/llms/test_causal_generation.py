"""Every setting of generation: rows that do not know of each other, stop texts, sampling, beams, streams, the cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from torch import Tensor

from affectgpt.core.batch import pad
from affectgpt.core.config import GenerationConfig
from affectgpt.plugins.llms.causal_generation import decode_steps
from affectgpt.plugins.llms.causal_lm import CausalLM

LENGTH = 16
PROMPTS = [torch.randn(length, 32, generator=torch.Generator().manual_seed(length)) for length in (1, 2, 3, 9, 40, 120)]


@pytest.fixture(scope="module")
def llm(build: Callable, configured: Callable) -> CausalLM:
    # Wide weights: what is written then depends on the whole prompt, and on where it stands.
    return build(configured(sizes={"initializer_range": 0.3}))


def written(llm: CausalLM, rows: list[Tensor], garbage: float = 0.0, **options: Any) -> list[list[int]]:
    seeds = options.pop("seeds", None)
    embeds, mask = pad(rows, "left")
    embeds[~mask] = garbage
    with torch.no_grad():
        return llm.generate(embeds, mask, GenerationConfig(**{"max_new_tokens": LENGTH, **options}), seeds=seeds)


WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "penalty": {"repetition_penalty": 1.7},
    "beams": {"beams": 3},
    "sampling": {"sample": True, "temperature": 2.0, "top_k": 40, "top_p": 0.95},
    "sampled beams": {"sample": True, "beams": 2},
    "stop": {"stop": ["e", "\n", "t"]},
}


# Each way stands for another part of the code; all companies of a way are tried again among the slow tests.
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("examples", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_a_row_is_the_same_alone_and_in_any_company(llm: CausalLM, way: str, examples: int) -> None:
    def seeds(chosen: list[int]) -> list[int] | None:
        return [100 + index for index in chosen] if WAYS[way].get("sample") else None

    single = [written(llm, [row], seeds=seeds([index]), **WAYS[way])[0] for index, row in enumerate(PROMPTS)]
    assert len({tuple(row) for row in single}) > 1

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        chosen=st.lists(st.integers(0, len(PROMPTS) - 1), min_size=1, max_size=6),
        garbage=st.sampled_from([0.0, 1e30, -1e30, math.nan, math.inf]),
    )
    def law(chosen: list[int], garbage: float) -> None:
        together = written(llm, [PROMPTS[index] for index in chosen], garbage, seeds=seeds(chosen), **WAYS[way])
        assert together == [single[index] for index in chosen]

    law()


@pytest.mark.parametrize("garbage", [1e30, math.nan])
def test_what_stands_in_the_padding_does_not_move_logits(llm: CausalLM, garbage: float) -> None:
    for side in ("left", "right"):
        embeds, mask = pad(PROMPTS[1:5], side)
        clean = llm.logits(embeds, mask)[mask]
        embeds[~mask] = garbage
        assert torch.equal(llm.logits(embeds, mask)[mask], clean)


def test_logits_in_a_batch_are_those_alone_up_to_rounding(llm: CausalLM) -> None:
    embeds, mask = pad(PROMPTS, "left")
    with torch.no_grad():
        together = llm.logits(embeds, mask)[:, -1]
        single = torch.cat([llm.logits(row[None], torch.ones(1, len(row), dtype=torch.bool))[:, -1] for row in PROMPTS])
    torch.testing.assert_close(together, single, rtol=0, atol=1e-5)


def test_each_token_is_computed_once(llm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    positions: list[list[int]] = []
    forward = llm.model.model.forward

    def watched(**given: Any) -> Any:
        read.append((given["inputs_embeds"] if given.get("inputs_embeds") is not None else given["input_ids"]).shape[1])
        positions.append(given["position_ids"][:, -1].tolist())
        return forward(**given)

    monkeypatch.setattr(llm.model.model, "forward", watched)
    rows = written(llm, [PROMPTS[1], PROMPTS[3]])
    assert read == [9] + [1] * (max(map(len, rows)) - 1)
    assert positions == [[1 + step, 8 + step] for step in range(len(read))]


def test_rows_end_at_their_own_end_marker(llm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = written(llm, PROMPTS)
    ends = [rows[1][4], rows[3][9]]
    monkeypatch.setattr(llm, "end_ids", lambda: ends)
    expected = [row[: min([row.index(end) for end in ends if end in row], default=LENGTH)] for row in rows]
    assert written(llm, PROMPTS) == expected and len(set(map(len, expected))) > 2


def pairs(llm: CausalLM, rows: list[list[int]]) -> list[str]:
    """Stop texts of two letters that are in the middle of a row: a token is a byte here, so they straddle tokens."""
    texts = [llm.decode(row) for row in rows]
    names = {text[at : at + 2] for text in texts for at in range(2, len(text) - 1)}
    return sorted(each for each in names if "\ufffd" not in each)


def test_a_row_stops_where_a_stop_text_is_complete_also_across_tokens(llm: CausalLM) -> None:
    rows = written(llm, PROMPTS)
    lengths = set()
    for stop in pairs(llm, rows):
        expected = [next((row[:end] for end in range(len(row)) if stop in llm.decode(row[:end])), row) for row in rows]
        assert written(llm, PROMPTS, stop=["no such text", stop]) == expected
        lengths |= {len(row) for row in expected}
    assert len(lengths) > 2


@pytest.mark.parametrize("count", range(17))
def test_a_stop_text_of_bytes_is_found_where_it_is_complete(llm: CausalLM, count: int) -> None:
    """Also in a decoder that gives replacement characters for a whole run of bytes that begins within a character."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    ids = [1 + byte for byte in ("悲" * count + "。終悲悲").encode()]
    message = iter(ids)

    def scripted(*_: Any) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor([[next(message)]]), 300).float()

    hook = llm.model.lm_head.register_forward_hook(scripted)
    try:
        how = GenerationConfig(max_new_tokens=len(ids), stop=["。終"])
        embeds, mask = pad(PROMPTS[:1], "left")
        results = [
            row[0]
            for row in decode_steps(llm.model, embeds, mask, how, ends=[299], decode=tokenizer.decode, seeds=None)
        ]
    finally:
        hook.remove()
    assert results == ids[: 3 * count + 6]


def test_a_beam_ends_with_a_stop_text(llm: CausalLM) -> None:
    rows = written(llm, PROMPTS, beams=2)
    stopped = {stop: written(llm, PROMPTS, beams=2, stop=[stop]) for stop in pairs(llm, rows)}
    ended = [row for stop, value in stopped.items() for row in value if stop in llm.decode(row)]
    assert any(len(row) < LENGTH for row in ended)
    for stop, value in stopped.items():
        assert all(stop not in llm.decode(row[:-1]) for row in value)


SETTINGS: list[dict[str, Any]] = [
    {"top_k": 3},
    {"top_p": 0.2},
    {"temperature": 0.1},
    {"beams": 2},
    {"repetition_penalty": 2.0},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_of_sampling_does_something(llm: CausalLM, setting: dict[str, Any]) -> None:
    seeds = list(range(6))
    plain = written(llm, PROMPTS, sample=True, seeds=seeds)
    assert plain == written(llm, PROMPTS, sample=True, seeds=seeds)
    assert plain != written(llm, PROMPTS, sample=True, seeds=seeds, **setting)


def test_top_k_of_one_and_a_temperature_near_zero_are_greedy(llm: CausalLM) -> None:
    greedy = written(llm, PROMPTS)
    for setting in ({"top_k": 1}, {"temperature": 1e-4}, {"top_p": 1e-6}):
        assert written(llm, PROMPTS, sample=True, seeds=list(range(6)), **setting) == greedy


def test_samples_follow_the_distribution(llm: CausalLM) -> None:
    row, count = PROMPTS[2], 3000
    logits = llm.logits(row[None], torch.ones(1, len(row), dtype=torch.bool))[0, -1].detach()
    expected = (logits * 4).softmax(dim=0)
    drawn = written(llm, [row] * count, sample=True, temperature=0.25, max_new_tokens=1, seeds=list(range(count)))
    result = torch.zeros_like(expected)
    for ids in drawn:
        result[ids[0] if ids else llm.end_ids()[0]] += 1 / count
    assert (result - expected).abs().sum() < 0.3 and (result - expected).abs().max() < 4 * (
        expected.max() / count
    ).sqrt()


@pytest.mark.parametrize("way", ["greedy", "penalty", "sampling", "stop"])
def test_streamed_ids_are_those_of_generate(llm: CausalLM, way: str) -> None:
    seeds = list(range(6)) if WAYS[way].get("sample") else None
    steps = list(llm.stream(*pad(PROMPTS, "left"), GenerationConfig(max_new_tokens=LENGTH, **WAYS[way]), seeds=seeds))
    rows = [[token for token in row if token is not None] for row in zip(*steps, strict=True)]
    assert rows == written(llm, PROMPTS, seeds=seeds, **WAYS[way])
    assert all(not torch.is_tensor(token) for step in steps for token in step)


def test_a_stream_that_is_left_computes_no_further(llm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    forward = llm.model.model.forward
    monkeypatch.setattr(llm.model.model, "forward", lambda **given: (calls.append(None), forward(**given))[1])
    steps = llm.stream(*pad(PROMPTS, "left"), GenerationConfig(max_new_tokens=LENGTH))
    assert calls == []
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert len(calls) == 1 and torch.is_grad_enabled()


def test_an_adapter_takes_part_in_beams_and_streams(build: Callable, configured: Callable) -> None:
    llm = build(configured(lora={"r": 8}))
    before = [written(llm, PROMPTS, beams=beams) for beams in (1, 2)]
    with torch.no_grad():
        for name, parameter in llm.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    after = [written(llm, PROMPTS, beams=beams) for beams in (1, 2)]
    assert all(one != other for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral"])
def test_other_decoders_do_the_same(build: Callable, configured: Callable, kind: str) -> None:
    llm = build(configured(kind))
    assert written(llm, PROMPTS, math.nan) == [written(llm, [row])[0] for row in PROMPTS]
