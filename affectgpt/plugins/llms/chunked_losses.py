"""The losses of chosen tokens of a transformers decoder, without logits of any other position or of many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from affectgpt.core.answer_losses import NO_TARGET, at_least_float32

CHUNK = 256
"""Positions whose logits are in memory at a time: 156 MB in float32 for 152,000 words."""


class ChunkedLosses:
    """Cross-entropy at chosen positions, which alone reach the model's output embeddings.

    `head()` gives that module, `logits` the model's logits `[B, T, V]` of embeddings `[B, T, D]` and a mask. Where the
    logits are what the module gives, they are made chunk by chunk, in training once more in the backward pass. A model
    that does more to them (a scale, a soft cap) makes those of all chosen positions at once.
    """

    def __init__(self, head: Callable[[], Any], logits: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._head, self._logits = head, logits
        self._head_is_last: bool | None = None

    def __call__(self, embeds: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """The losses `[N]` of `targets [B, T]`, see [affectgpt.core.answer_losses.token_losses][]."""
        head = self._head()
        if self._head_is_last is None:
            self._head_is_last = self._is_last(head, embeds[:1, :1].detach())
        places = targets != NO_TARGET
        chosen: list[Tensor] = []

        def choose(_: Any, arguments: tuple[Tensor]) -> tuple[Tensor]:
            hidden = arguments[0][places]
            chosen.append(hidden)
            return (hidden[None, :1] if self._head_is_last else hidden[None],)

        with head.register_forward_pre_hook(choose):
            logits = self._logits(embeds, mask)
        if not self._head_is_last:
            return functional.cross_entropy(at_least_float32(logits[0]), targets[places], reduction="none")
        chunks = zip(chosen[0].split(CHUNK), targets[places].split(CHUNK), strict=True)
        return torch.cat([_chunk_losses(head, *chunk) for chunk in chunks])

    @torch.no_grad()
    def _is_last(self, head: Any, embeds: Tensor) -> bool:
        """Whether logits put in the place of those that `head` gives come out as they are."""
        values: list[Tensor] = []

        def replace(_: Any, __: Any, output: Tensor) -> Tensor:
            values.append(torch.linspace(-50, 50, output.shape[-1], dtype=output.dtype, device=output.device))
            return values[0].expand(1, 1, -1)

        with head.register_forward_hook(replace):
            logits = self._logits(embeds, torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device))
        return torch.equal(logits[0, 0].to(values[0].dtype), values[0])


def _chunk_losses(head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    def losses(hidden: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(at_least_float32(head(hidden[None])[0]), targets, reduction="none")

    if not torch.is_grad_enabled():
        return losses(hidden, targets)
    recomputed: Tensor = checkpoint(losses, hidden, targets, use_reentrant=False)
    return recomputed
