"""The losses of chosen tokens of a transformers decoder, without logits of any other position or of many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from affectgpt.core.answer_losses import NO_TARGET, at_least_float32

CHUNK = 128
"""Positions whose logits are in memory at a time: 78 MB in float32 for 152,000 words."""


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
        head, places = self._head(), targets != NO_TARGET
        if self._head_is_last is None:
            before = _random_states(embeds.device)
            hidden, first_logits, logits = self._run(head, embeds, mask, places, rows=1)
            if not torch.equal(first_logits.to(logits.dtype), logits):
                self._head_is_last = False
                _set_random_states(before, embeds.device)
            elif first_logits.any():
                self._head_is_last = True
        elif self._head_is_last:
            hidden, _, _ = self._run(head, embeds, mask, places, rows=1)
        if self._head_is_last is False:
            _, _, logits = self._run(head, embeds, mask, places, rows=None)
            return functional.cross_entropy(at_least_float32(logits), targets[places], reduction="none")
        losses: Tensor
        if type(head) is nn.Linear:
            loss_of: Any = _LinearCrossEntropy  # has no annotations
            losses = loss_of.apply(hidden, head.weight, head.bias, targets[places])
            return losses
        chunks = zip(torch.split(hidden, CHUNK), torch.split(targets[places], CHUNK), strict=True)
        return torch.cat([_chunk_losses(head, *chunk) for chunk in chunks])

    def _run(
        self, head: Any, embeds: Tensor, mask: Tensor, places: Tensor, rows: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the output embeddings read at `places`, what they give for its first `rows`, and the model's logits."""
        hidden: list[Tensor] = []
        raw_logits: list[Tensor] = []

        def choose(_: Any, arguments: tuple[Tensor]) -> tuple[Tensor]:
            hidden.append(arguments[0][places])
            return (hidden[0][None, :rows],)

        def keep(_: Any, __: Any, output: Tensor) -> None:
            raw_logits.append(output[0])

        with head.register_forward_pre_hook(choose), head.register_forward_hook(keep):
            logits = self._logits(embeds, mask)
        return hidden[0], raw_logits[0], logits[0]


def _chunk_losses(head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    def losses(hidden: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(at_least_float32(head(hidden[None])[0]), targets, reduction="none")

    if not torch.is_grad_enabled():
        return losses(hidden, targets)
    recomputed: Tensor = checkpoint(losses, hidden, targets, use_reentrant=False)
    return recomputed


class _LinearCrossEntropy(torch.autograd.Function):
    """Losses `[N]` of `targets [N]` under the logits `hidden [N, D] @ weight [V, D].T + bias`.

    Logits and their gradients exist for a chunk of rows at a time, in both passes, and the gradient of `weight` is
    summed in place: autograd would hold one more of its size for each chunk.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, targets)
        device = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        chunks = zip(torch.split(hidden, CHUNK), torch.split(targets, CHUNK), strict=True)
        return torch.cat(
            [
                functional.cross_entropy(_logits(rows, weight, bias, ctx.dtype), ids, reduction="none")
                for rows, ids in chunks
            ]
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        hidden, weight, bias, targets = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        of_hidden = torch.empty_like(hidden) if needs_hidden else None
        of_weight = torch.zeros_like(weight) if needs_weight else None
        of_bias = torch.zeros_like(bias) if needs_bias else None
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), CHUNK):
                rows, ids = hidden[start : start + CHUNK], targets[start : start + CHUNK]
                # d loss / d logits = softmax - one at the target.
                of_logits = _logits(rows, weight, bias, ctx.dtype).softmax(dim=1)
                of_logits.scatter_add_(1, ids[:, None], of_logits.new_full((len(ids), 1), -1.0))
                of_logits = of_logits.mul_(gradient[start : start + CHUNK, None]).to(ctx.dtype)
                if of_hidden is not None:
                    of_hidden[start : start + CHUNK] = of_logits @ weight.to(ctx.dtype)
                if of_weight is not None:
                    of_weight.addmm_(of_logits.T.to(of_weight.dtype), rows.to(of_weight.dtype))
                if of_bias is not None:
                    of_bias += of_logits.sum(dim=0)
        return of_hidden, of_weight, of_bias, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The logits `[N, V]`, computed in `dtype`, as float32 at least."""
    with torch.autocast(hidden.device.type, enabled=False):
        bias = None if bias is None else bias.to(dtype)
        return at_least_float32(functional.linear(hidden.to(dtype), weight.to(dtype), bias))


def _random_states(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
