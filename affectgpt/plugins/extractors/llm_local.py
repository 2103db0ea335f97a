"""Questions to an LLM plugin in this process, greedily, in batches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from affectgpt.core.config import GenerationConfig
from affectgpt.core.final_answer import open_mark
from affectgpt.plugins.extractors.llm_answers import LLMAnswer
from affectgpt.registry.errors import ConfigError, RunError

_PLACE = "AFFECTGPT_QUESTION"
_SAMPLES = 64
_NO_THINKING = {"enable_thinking": False, "thinking": False, "reasoning": False}
"""The names under which chat templates take the switch; a template without it does not read them."""


class LocalModel:
    """An LLM that follows the contract [LLM][], on `device` ("auto": an accelerator when there is one).

    When its tokenizer has a chat template, a question is put in as the user's turn. The question itself is encoded
    with `special=False`: no marker that stands in a text is read as a marker.

    The template is asked to switch reasoning off. An answer that is cut at `max_new_tokens` within its reasoning is
    generated again with `reasoning_tokens` more.

    Raises ConfigError when the device cannot be used.
    """

    def __init__(
        self,
        llm: Any,
        options: Mapping[str, Any],
        *,
        device: str,
        batch_size: int,
        max_new_tokens: int,
        reasoning_tokens: int,
    ) -> None:
        self.llm, self.options = llm, options
        self.device = _move_to_device(llm, device)
        self.batch_size, self.max_new_tokens, self.reasoning_tokens = batch_size, max_new_tokens, reasoning_tokens
        self.before, self.after = _chat_frame(getattr(llm, "tokenizer", None))
        # What the template has opened belongs to the answer: without it, reasoning looks like one.
        self.opened = open_mark(self.after)

    def identity(self) -> dict[str, Any]:
        """All that determines its answers except the question: options, weights, tokenizer."""
        probe = self._ids('A probe: 你好, naïve <|im_end|> ["x"]\n')
        return {"llm": dict(self.options), "weights": _weights_digest(self.llm), "reads": probe}

    def answers(self, questions: Sequence[str]) -> Iterator[tuple[int, LLMAnswer]]:
        """Index and answer of every question, batch by batch. Raises RunError when memory does not suffice."""
        # Questions of similar length in a batch need little padding.
        order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            answers = dict(zip(chosen, self._batch([questions[index] for index in chosen]), strict=True))
            reasoning = [index for index, answer in answers.items() if answer.cut and open_mark(answer.text)]
            if reasoning and self.reasoning_tokens:
                longer = self._batch([questions[index] for index in reasoning], self.reasoning_tokens)
                answers.update(zip(reasoning, longer, strict=True))
            yield from answers.items()

    @torch.inference_mode()
    def _batch(self, questions: list[str], more: int = 0) -> list[LLMAnswer]:
        settings = GenerationConfig(max_new_tokens=self.max_new_tokens + more)
        try:
            rows = [self.llm.embed(torch.tensor(self._ids(question), device=self.device)) for question in questions]
            answers = self.llm.generate(*_left_padded(rows), settings)
        except torch.OutOfMemoryError as error:
            raise RunError(
                "there is not enough memory for the extractor's LLM",
                found=f"{len(questions)} questions at once",
                hint="lower `batch_size`, or give the LLM `dtype: bfloat16`",
            ) from error
        # An end marker takes one of the tokens, so a full row has not ended.
        return [
            LLMAnswer(self.opened + self.llm.decode(ids), cut=len(ids) >= settings.max_new_tokens) for ids in answers
        ]

    def _ids(self, question: str) -> list[int]:
        encode = self.llm.encode
        return [*encode(self.before, special=True), *encode(question, special=False), *encode(self.after, special=True)]


def _move_to_device(llm: Any, device: str) -> torch.device:
    try:
        if device == "auto":
            accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
            chosen = accelerator or torch.device("cpu")
        else:
            chosen = torch.device(device)
        llm.to(chosen)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            "the extractor's LLM cannot be put on this device",
            where="device",
            found=f"{device}: {_first_line(error)}",
            expected="auto, cpu, cuda, ...",
        ) from error
    return chosen


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _chat_frame(tokenizer: Any) -> tuple[str, str]:
    """The chat template's text before and after the user's turn; empty without a chat template."""
    if not getattr(tokenizer, "chat_template", None):
        return "", "\n"
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PLACE}],
            tokenize=False,
            add_generation_prompt=True,
            **_switches(str(tokenizer.chat_template)),
        )
    except Exception as error:  # a template is a program of the model's author
        raise ConfigError("the chat template of the extractor's LLM fails", found=_first_line(error)) from error
    if text.count(_PLACE) != 1:
        raise ConfigError("the chat template of the extractor's LLM does not hold the user's words once")
    before, after = text.split(_PLACE)
    return before, after


def _switches(template: str) -> dict[str, Any]:
    """The variables that switch reasoning off, or keep it short where a template only knows how much of it."""
    switches: dict[str, Any] = dict(_NO_THINKING)
    if "thinking_budget" in template:
        switches["thinking_budget"] = 0
    if "reasoning_effort" in template:
        switches["reasoning_effort"] = "none" if re.search("['\"]none['\"]", template) else "low"
    return switches


def _left_padded(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Embeddings `[T_i, D]` -> `[B, T, D]` and the mask `[B, T]`, padding on the left."""
    longest = max(len(row) for row in rows)
    embeds = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
    mask = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
    for index, row in enumerate(rows):
        embeds[index, longest - len(row) :], mask[index, longest - len(row) :] = row, True
    return embeds, mask


def _weights_digest(llm: nn.Module) -> str:
    """A hash of some values of every weight, to detect other weights under the same name."""
    digest = hashlib.sha256()
    for name, parameter in sorted(llm.named_parameters()):
        flat = parameter.detach().flatten()
        picked = flat[:: max(1, len(flat) // _SAMPLES)].to("cpu", torch.float32)
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        digest.update(picked.numpy().tobytes())
    return digest.hexdigest()
