"""Logits and generated ids: padding, end markers, and settings that come from the pipeline alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from affectgpt.core.batch import pad
from affectgpt.core.config import GenerationConfig
from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig

Build = Callable[[CausalLMConfig], CausalLM]
LENGTH = 16


def prompts(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(length, 32, generator=generator) for length in lengths]


def written(llm: CausalLM, rows: list[Tensor], **settings: Any) -> list[list[int]]:
    torch.manual_seed(0)
    with torch.no_grad():
        return llm.generate(*pad(rows, "left"), GenerationConfig(**{"max_new_tokens": LENGTH, **settings}))


def free(llm: CausalLM) -> list[int]:
    """What `llm` writes after the first prompt: `LENGTH` ids, no end marker among them."""
    (row,) = written(llm, prompts(6))
    assert len(row) == LENGTH and row[3] not in row[:3] and not set(row) & set(llm.end_ids())
    return row


# gpt2 knows positions from a table: a shift shows, where rotary positions hide it.
@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_do_not_depend_on_padding(build: Build, configured: Callable, side: str, kind: str) -> None:
    llm, rows = build(configured(kind)), prompts(6, 2, 9)
    embeds, mask = pad(rows, side)
    embeds[~mask] = 3.0
    together = llm.logits(embeds, mask)
    for index, row in enumerate(rows):
        single = llm.logits(row[None], torch.ones(1, len(row), dtype=torch.bool))[0]
        torch.testing.assert_close(together[index][mask[index]], single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_each_row_is_written_as_if_it_were_alone(build: Build, configured: Callable, kind: str) -> None:
    llm, rows = build(configured(kind)), prompts(6, 2, 9)
    assert written(llm, rows) == [written(llm, [row])[0] for row in rows]


def test_greedy_text_follows_the_logits(build: Build, configured: Callable) -> None:
    llm = build(configured())
    (row,) = prompts(6)
    ids: list[int] = []
    with torch.no_grad():
        for _ in range(LENGTH):
            embeds = torch.cat([row, llm.embed(torch.tensor(ids, dtype=torch.long))])[None]
            ids.append(int(llm.logits(embeds, torch.ones(embeds.shape[:2], dtype=torch.bool))[0, -1].argmax()))
    assert free(llm) == ids


def test_the_tokenizers_end_marker_stops_a_row_and_is_left_out(build: Build, configured: Callable) -> None:
    llm = build(configured())
    row = free(llm)
    # The end marker now gets the score of the fourth id: the text is the same up to there.
    with torch.no_grad():
        head, (end,) = llm.model.lm_head.weight, llm.end_ids()
        head[[end, row[3]]] = head[[row[3], end]]
    assert written(llm, prompts(6)) == [row[:3]]
    both = written(llm, prompts(6, 2))
    assert both[0] == row[:3] and end not in both[1]


@pytest.mark.parametrize("several", [False, True])
def test_end_markers_that_the_models_own_settings_name_stop_too(
    build: Build, folder: Path, rewrite: Callable[..., None], several: bool
) -> None:
    plain = build(CausalLMConfig(model=str(folder)))
    row, end = free(plain), plain.end_ids()[0]
    rewrite(folder / "generation_config.json", eos_token_id=[end, row[3], 5000] if several else row[3])
    llm = build(CausalLMConfig(model=str(folder)))
    assert llm.end_ids() == [end, row[3]]
    assert written(llm, prompts(6)) == [row[:3]]


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_a_random_model_ends_with_its_tokenizers_marker_only(build: Build, configured: Callable, kind: str) -> None:
    llm = build(configured(kind))
    assert llm.end_ids() == [llm.tokenizer.eos_token_id]


SAMPLING = {
    "do_sample": True,
    "temperature": 0.01,
    "top_k": 1,
    "top_p": 0.1,
    "repetition_penalty": 9.0,
    "max_length": 3,
}


@pytest.mark.parametrize(
    "settings", [{}, {"sample": True}, {"sample": True, "temperature": 2.0, "top_p": 0.9}, {"beams": 2}], ids=str
)
def test_a_folders_own_sampling_is_not_used(
    build: Build, folder: Path, rewrite: Callable[..., None], settings: dict[str, Any]
) -> None:
    plain = written(build(CausalLMConfig(model=str(folder))), prompts(6, 3), **settings)
    rewrite(folder / "generation_config.json", **SAMPLING)
    assert written(build(CausalLMConfig(model=str(folder))), prompts(6, 3), **settings) == plain


@pytest.mark.filterwarnings("ignore:Passing `no_repeat_ngram_size`")
@pytest.mark.parametrize("setting", ["no_repeat_ngram_size", "suppress_tokens"])
def test_a_folders_other_settings_are_not_used_either(
    build: Build, folder: Path, rewrite: Callable[..., None], setting: str
) -> None:
    llm = build(CausalLMConfig(model=str(folder)))
    plain = written(llm, prompts(6), max_new_tokens=60)
    assert len(set(plain[0])) < len(plain[0])
    value = 1 if setting == "no_repeat_ngram_size" else plain[0][:1]
    rewrite(folder / "generation_config.json", **{setting: value})
    assert written(build(CausalLMConfig(model=str(folder))), prompts(6), max_new_tokens=60) == plain


def test_a_sampled_text_is_the_seeds(build: Build, configured: Callable) -> None:
    llm = build(configured())
    first, again = (written(llm, prompts(6), sample=True, temperature=3.0) for _ in range(2))
    assert first == again != written(llm, prompts(6))


@pytest.mark.parametrize("count", [1, 5])
def test_no_more_than_asked_is_written(build: Build, configured: Callable, count: int) -> None:
    llm = build(configured())
    assert written(llm, prompts(6), max_new_tokens=count) == [free(llm)[:count]]


def test_the_adapter_takes_part(build: Build, configured: Callable) -> None:
    llm = build(configured(lora={"r": 8}))
    before = free(llm)
    with torch.no_grad():
        for name, parameter in llm.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    assert written(llm, prompts(6)) != [before]
