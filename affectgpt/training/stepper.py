"""One optimizer step: micro-batches forward and backward, gradient clipping, the update of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from affectgpt.core.config import TrainingConfig
from affectgpt.registry.errors import RunError
from affectgpt.registry.messages import count_and_first
from affectgpt.training.batch_order import BatchOrder
from affectgpt.training.micro_batches import MicroBatch
from affectgpt.training.schedule import learning_rate
from affectgpt.training.stop_signals import StopRequest


@dataclass(frozen=True)
class StepResult:
    """Result of one step: its mean `loss` in nats, the base rate `lr`, and `grad_norm` before clipping.

    `skipped`: the gradient overflowed fp16 and the weights did not change. `stop_requested`: a process got a signal to
    stop.
    """

    loss: float
    lr: float
    grad_norm: float
    skipped: bool
    stop_requested: bool


class Stepper:
    """Takes the steps of this process; all processes take each step together."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
        config: TrainingConfig,
        order: BatchOrder,
        batches: Iterator[MicroBatch],
        name: Callable[[int], str],
        count_tokens: Callable[[int, int], int],
    ) -> None:
        """`name` is that of a clip by its index, `count_tokens` the answer tokens of a step's micro-batch."""
        self.accelerator, self.model, self.optimizer, self.config = accelerator, model, optimizer, config
        self.order, self.batches, self.name, self.count_tokens = order, batches, name, count_tokens

    def step(self, step: int, stop_request: StopRequest) -> StepResult:
        """Take step 0, 1, ...

        Raises RunError, in all processes and before a weight moves, when a loss or the gradient is not finite; with
        fp16, whose scale is halved and the step skipped then, when a scale below 1 is next.
        """
        lr = learning_rate(step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        losses, stop_requested = self._gather(self._backward(step), stop_request)
        total = sum(losses) / (1 if self.config.step_loss == "tokens" else len(losses))
        if not math.isfinite(total):
            diverging = [number for number, loss in enumerate(losses) if not math.isfinite(loss)]
            self._raise_diverged(f"the loss is {total} at step {step + 1}", step, diverging, lr)
        norm = self._clip_gradients()
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            self._raise_diverged(f"the gradient is {norm} at step {step + 1}", step, range(len(losses)), lr)
        self.optimizer.step()
        skipped = bool(self.optimizer.step_was_skipped)
        if skipped and (scale := self.accelerator.scaler.get_scale()) < 1:
            # The gradient itself overflows fp16, or is not finite. Halving the scale further would skip all remaining
            # steps, and the run would end as if it had trained.
            self._raise_diverged(
                f"the gradient is {norm} at step {step + 1}, even with the loss scaled by {2 * scale:g}",
                step,
                range(len(losses)),
                lr,
            )
        self.optimizer.zero_grad()
        return StepResult(total, lr, norm, skipped, stop_requested)

    def _backward(self, step: int) -> list[Tensor]:
        """The losses of this process's micro-batches. With `step_loss: tokens` the step's loss is their sum."""
        first, processes = self.accelerator.process_index, self.accelerator.num_processes
        numbers = range(first, self.order.micro_batches, processes)
        by_tokens = self.config.step_loss == "tokens"
        tokens = self._count_step_tokens(step, numbers) if by_tokens else 0
        losses = []
        for number in numbers:
            micro_batch = next(self.batches)
            # Seeded for every micro-batch, so that random numbers depend neither on earlier draws nor on the process.
            set_seed(self.order.seed_at(step, number))
            # Gradients of several processes are averaged once a step.
            sync_context = self.accelerator.no_sync(self.model) if number != numbers[-1] else nullcontext()
            with sync_context:
                with self.accelerator.autocast():
                    total, count = self.model(
                        micro_batch.batch.to(self.accelerator.device),
                        micro_batch.answers,
                        micro_batch.questions,
                        components=True,
                    )
                loss = total / (tokens if by_tokens else count)
                self.accelerator.backward(loss * processes if by_tokens else loss / len(numbers))
            losses.append(loss.detach().float())
        return losses

    def _count_step_tokens(self, step: int, numbers: Iterable[int]) -> int:
        """The answer tokens of a step, of all processes: known before its first backward pass, which divides by it."""
        count = torch.tensor([sum(self.count_tokens(step, number) for number in numbers)])
        gathered: Any = self.accelerator.gather(count.to(self.accelerator.device))
        return int(gathered.sum())

    def _gather(self, losses: list[Tensor], stop_request: StopRequest) -> tuple[list[float], bool]:
        """The losses of all processes in the order of the micro-batches, and whether a process was asked to stop."""
        # `.tolist()` waits for the GPU, so a stop request that arrives before it ends the run after this step.
        values = torch.stack(losses).tolist()
        process_row = torch.tensor([*values, float(stop_request.requested)], device=losses[0].device)
        gathered: Any = self.accelerator.gather(process_row)
        rows = gathered.view(-1, len(process_row)).tolist()
        return [loss for losses_at in zip(*(row[:-1] for row in rows), strict=True) for loss in losses_at], any(
            row[-1] for row in rows
        )

    def _clip_gradients(self) -> float:
        # With an infinite bound the norm is measured and the gradient multiplied by 1.
        bound = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm: Any = self.accelerator.clip_grad_norm_(self.model.parameters(), bound)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _raise_diverged(self, what: str, step: int, micro_batches: Sequence[int], lr: float) -> None:
        clips = [self.name(clip) for number in micro_batches for clip in self.order.clips(step, number)]
        raise error_diverged(what, clips, lr)


def error_diverged(what: str, clips: Sequence[str], lr: float) -> RunError:
    """An error for a loss or gradient that is not finite, with the clips and the learning rate."""
    return RunError(
        what,
        found=f"learning rate {lr:g}; clips {count_and_first(clips) if len(clips) > 64 else ', '.join(clips)}",
        hint="lower training.lr, or set training.max_grad_norm; look at these clips",
    )
