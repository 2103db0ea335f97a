"""Generate from embeddings with a transformers decoder: greedy, sampling or beams, up to end markers and stop texts."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig as TransformersGeneration
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, StoppingCriteria, StoppingCriteriaList

from affectgpt.core.config import GenerationConfig
from affectgpt.core.stop_text import REPLACEMENT

Decode = Callable[[Sequence[int]], str]
Step = list[int | None]
"""The next id of each row; None for a row that is done."""


def decode_steps(
    model: Any,
    embeds: Tensor,
    mask: Tensor,
    settings: GenerationConfig,
    *,
    ends: Sequence[int],
    decode: Decode,
    seeds: Sequence[int] | None,
) -> Iterator[Step]:
    """Continue left-padded `embeds [B, T, D]` by one token of each row at a time, without beams.

    transformers prepares (positions, cache, processors, criteria); the loop is [_decode_loop][]. With sampling each row
    draws from its own seed.
    """
    draws = None
    if settings.sample:
        seeds = torch.randint(2**48, (len(embeds),)).tolist() if seeds is None else seeds
        draws = [random.Random(seed) for seed in seeds]
    options = _generate_options(settings, ends, decode)
    steps: Iterator[Step] = _generate(
        model, **_inputs(embeds, mask), **options, custom_generate=_decode_loop, draws=draws
    )
    return steps


def beam_search(
    model: Any,
    embeds: Tensor,
    mask: Tensor,
    settings: GenerationConfig,
    *,
    ends: Sequence[int],
    decode: Decode,
    seeds: Sequence[int] | None,
) -> list[list[int]]:
    """The new ids of each row by transformers' beam search, cut before the end marker.

    With `seeds`, the rows are searched one after the other: transformers draws for all rows from one generator.
    """
    if not settings.sample or seeds is None:
        rows = _generate(model, **_inputs(embeds, mask), **_generate_options(settings, ends, decode)).tolist()
        return [_cut(row, ends) for row in rows]
    rows = []
    for row, real, seed in zip(embeds, mask, seeds, strict=True):
        torch.manual_seed(seed)
        single = (row[real][None], real[real][None])
        rows += beam_search(model, *single, settings, ends=ends, decode=decode, seeds=None)
    return rows


def _generate(model: Any, **arguments: Any) -> Any:
    """`model.generate`, also for models of several parts: they read embeddings, but their signature does not say so."""
    prepare = model.prepare_inputs_for_generation
    if "inputs_embeds" in inspect.signature(prepare).parameters:
        return model.generate(**arguments)

    # transformers looks for these names.
    def prepare_embeds(input_ids: Any, inputs_embeds: Any = None, **kwargs: Any) -> Any:
        return prepare(input_ids, inputs_embeds=inputs_embeds, **kwargs)

    model.prepare_inputs_for_generation = prepare_embeds
    try:
        return model.generate(**arguments)
    finally:
        del model.prepare_inputs_for_generation


def _inputs(embeds: Tensor, mask: Tensor) -> dict[str, Tensor]:
    # Attention gives padding a weight of 0, and 0 times NaN is NaN.
    return {"inputs_embeds": embeds.masked_fill(~mask[..., None], 0.0), "attention_mask": mask.long()}


def _generate_options(settings: GenerationConfig, ends: Sequence[int], decode: Decode) -> dict[str, Any]:
    sampling = (
        {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        if settings.sample
        else {}
    )
    config_class: Any = TransformersGeneration  # has no annotations
    processors = LogitsProcessorList()
    if settings.repetition_penalty != 1.0:
        # Not by transformers' own setting: it ignores as many of the first new tokens as the row has padding.
        processors.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    criteria = StoppingCriteriaList([_StopTexts(settings.stop, decode)] if settings.stop else [])
    return {
        "generation_config": config_class(
            max_new_tokens=settings.max_new_tokens,
            do_sample=settings.sample,
            num_beams=settings.beams,
            eos_token_id=list(ends),
            pad_token_id=ends[0],
            **sampling,
        ),
        "logits_processor": processors,
        "stopping_criteria": criteria,
    }


class _StopTexts(StoppingCriteria):  # type: ignore[misc]
    """A row is done when one of `stops` is in its text, wherever the borders of tokens are."""

    def __init__(self, stops: Sequence[str], decode: Decode) -> None:
        self.stops, self.decode = stops, decode
        # Up to 4 tokens a character, and as many again for tokens without text.
        self.tail = 8 * max(map(len, stops)) + 16

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        tails = input_ids[:, -self.tail :].tolist()
        has_stop = [
            self._near_the_end(tail) and self._in(self.decode(row.tolist()))
            for tail, row in zip(tails, input_ids, strict=True)
        ]
        return torch.tensor(has_stop, device=input_ids.device)

    def _near_the_end(self, tail: Sequence[int]) -> bool:
        # If the tail starts inside a character, some decoders drop the bytes up to the next complete token.
        for skipped in range(4):
            text = self.decode(tail[skipped:])
            if self._in(text) or not text.startswith(REPLACEMENT):
                break
        return self._in(text)

    def _in(self, text: str) -> bool:
        return any(stop in text for stop in self.stops)


@torch.no_grad()
def _decode_loop(
    model: Any,
    input_ids: Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    draws: Sequence[random.Random] | None = None,
    **inputs: Any,
) -> Iterator[Step]:
    """The decoding loop for `generate`; `input_ids [B, 0]` grows by the chosen tokens."""
    ends = torch.tensor(generation_config.eos_token_id, device=input_ids.device)
    active = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    while True:
        out = model(**inputs)
        scores = logits_processor(input_ids, out.logits[:, -1].float())
        chosen = scores.argmax(dim=-1) if draws is None else _sample(scores, draws)
        input_ids = torch.cat([input_ids, chosen[:, None]], dim=1)
        visible = active & ~torch.isin(chosen, ends)
        yield [
            token if is_visible else None for token, is_visible in zip(chosen.tolist(), visible.tolist(), strict=True)
        ]
        active = active & ~stopping_criteria(input_ids, None)
        if not active.any():
            return
        inputs = _next_inputs(inputs, chosen, out)


def _next_inputs(inputs: dict[str, Any], chosen: Tensor, out: Any) -> dict[str, Any]:
    """The next step reads only the chosen tokens; all earlier ones are in the cache."""
    following = {name: value for name, value in inputs.items() if name != "inputs_embeds"}
    mask, positions = inputs.get("attention_mask"), inputs.get("position_ids")
    following["input_ids"] = chosen[:, None]
    if hasattr(out, "cache_params"):
        # A recurrent state holds no padding.
        following |= {"cache_params": out.cache_params, "attention_mask": None}
        return following
    following["past_key_values"] = out.past_key_values
    if mask is not None:
        following["attention_mask"] = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    if positions is not None:
        following["position_ids"] = positions[:, -1:] + 1
    return following


def _sample(scores: Tensor, draws: Sequence[random.Random]) -> Tensor:
    """One id per row by inverting the cumulative distribution at the row's own next random number."""
    cumulative = scores.softmax(dim=-1).double().cumsum(dim=-1)
    threshold = cumulative.new_tensor([generator.random() for generator in draws])[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp(max=scores.shape[-1] - 1)


def _cut(row: list[int], ends: Sequence[int]) -> list[int]:
    stops = [index for index, token in enumerate(row) if token in ends]
    return row[: stops[0]] if stops else row
