"""How likely an answer is: the losses of its tokens, given the tokens of its clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from affectgpt.core.batch import pad
from affectgpt.core.tokens import Tokens

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline, Question

NO_TARGET = -100
"""Stands where no token is to be predicted, as in torch's and transformers' cross-entropy."""


def answer_losses(
    pipeline: Pipeline,
    fused: Mapping[str, Tokens],
    subtitles: Sequence[str],
    answers: Sequence[str],
    question: Question,
    *,
    training: bool,
) -> list[Tensor]:
    """Per clip the losses `[A_i]` of its answer's tokens, end marker included, in nats; float32, or float64 of a
    float64 model."""
    prompts = pipeline.prompts(fused, subtitles, question, training=training)
    ids = [pipeline.answer_ids(answer) for answer in answers]
    rows = [torch.cat(pair) for pair in zip(prompts, pipeline.embed_rows([[row] for row in ids]), strict=True)]
    embeds, mask = pad(rows, "right")
    targets = torch.full(mask.shape, NO_TARGET)
    for index, (prompt, row) in enumerate(zip(prompts, ids, strict=True)):
        first = len(prompt) - 1
        targets[index, first : first + len(row)] = torch.tensor(row)
    losses = token_losses(pipeline.llm, embeds, mask, targets.to(embeds.device))
    return list(torch.split(losses, [len(row) for row in ids]))


def token_losses(llm: Any, embeds: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
    """The losses `[N]` of the `targets [B, T]` that are not [NO_TARGET][], in reading order.

    `targets[b, t]` is the id of position t + 1. An LLM with a method `token_losses` of these arguments computes them
    itself, which spares the logits of all other positions.
    """
    if hasattr(llm, "token_losses"):
        losses: Tensor = llm.token_losses(embeds, mask, targets)
        return losses
    return losses_of_logits(llm.logits(embeds, mask), targets)


def losses_of_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """The losses `[N]` of the `targets [B, T]` that are not [NO_TARGET][], from the logits `[B, T, V]`."""
    chosen = targets != NO_TARGET
    return functional.cross_entropy(at_least_float32(logits[chosen]), targets[chosen], reduction="none")


def at_least_float32(logits: Tensor) -> Tensor:
    """`logits` as float32, or as float64 where they are."""
    return logits if logits.dtype == torch.float64 else logits.float()
