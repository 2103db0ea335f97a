"""One optimizer step: micro-batches forward and backward, the gradient bounded, the weights moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from affectgpt.core.config import TrainingConfig
from affectgpt.registry.errors import RunError
from affectgpt.registry.messages import first_of
from affectgpt.training.batch_order import Order
from affectgpt.training.micro_batches import MicroBatch
from affectgpt.training.schedule import learning_rate
from affectgpt.training.stop_signals import Interruption


@dataclass(frozen=True)
class Step:
    """What one step was: its mean `loss` in nats and base `lr`, the `grad_norm` before it was bounded.

    `skipped`: the gradient overflowed fp16, the weights were left as they were. `asked`: a process was asked to stop.
    """

    loss: float
    lr: float
    grad_norm: float
    skipped: bool
    asked: bool


class Stepper:
    """Takes the steps of this process; all processes take each step together."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
        config: TrainingConfig,
        order: Order,
        batches: Iterator[MicroBatch],
        name: Callable[[int], str],
    ) -> None:
        self.accelerator, self.model, self.optimizer, self.config = accelerator, model, optimizer, config
        self.order, self.batches, self.name = order, batches, name

    def take(self, step: int, interruption: Interruption) -> Step:
        """Take step 0, 1, ...

        Raises RunError, in all processes and before a weight moves, when a loss or the gradient is not finite; with
        fp16, whose scale is halved and the step skipped then, when a scale below 1 is next.
        """
        lr = learning_rate(step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        losses, asked = self._shared(self._backward(step), interruption)
        total = sum(losses) / len(losses)
        if not math.isfinite(total):
            guilty = [number for number, loss in enumerate(losses) if not math.isfinite(loss)]
            self._stop(f"the loss is {total} at step {step + 1}", step, guilty, lr)
        norm = self._bounded()
        if not math.isfinite(norm) and self.accelerator.scaler is None:
            self._stop(f"the gradient is {norm} at step {step + 1}", step, range(len(losses)), lr)
        self.optimizer.step()
        skipped = bool(self.optimizer.step_was_skipped)
        if skipped and (scale := self.accelerator.scaler.get_scale()) < 1:
            # Nothing was scaled up any more: what is too large for fp16, or no number, is the gradient itself. Halving
            # on would skip all steps that are left, and the run end as if it had trained.
            self._stop(
                f"the gradient is {norm} at step {step + 1}, even with the loss scaled by {2 * scale:g}",
                step,
                range(len(losses)),
                lr,
            )
        self.optimizer.zero_grad()
        return Step(total, lr, norm, skipped, asked)

    def _backward(self, step: int) -> list[Tensor]:
        first, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = range(first, self.order.micro_batches, processes)
        losses = []
        for number in mine:
            one = next(self.batches)
            # Anew for every micro-batch: what is drawn does not depend on what was drawn before, or where.
            set_seed(self.order.seed_at(step, number))
            # Gradients of several processes are averaged once a step.
            apart = self.accelerator.no_sync(self.model) if number != mine[-1] else nullcontext()
            with apart:
                with self.accelerator.autocast():
                    loss = self.model(one.batch.to(self.accelerator.device), one.answers, one.questions)
                self.accelerator.backward(loss / len(mine))
            losses.append(loss.detach().float())
        return losses

    def _shared(self, losses: list[Tensor], interruption: Interruption) -> tuple[list[float], bool]:
        """The losses of all processes in the order of the micro-batches, and whether anyone was asked to stop."""
        # As numbers, which a GPU gives when it has done all its work: who asks before that has this step be the last.
        done = torch.stack(losses).tolist()
        own = torch.tensor([*done, float(interruption.asked)], device=losses[0].device)
        together: Any = self.accelerator.gather(own)
        rows = together.view(-1, len(own)).tolist()
        return [loss for same in zip(*(row[:-1] for row in rows), strict=True) for loss in same], any(
            row[-1] for row in rows
        )

    def _bounded(self) -> float:
        # Without a bound it is measured all the same: times 1 changes nothing.
        bound = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm: Any = self.accelerator.clip_grad_norm_(self.model.parameters(), bound)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _stop(self, what: str, step: int, micro_batches: Sequence[int], lr: float) -> None:
        clips = [self.name(clip) for number in micro_batches for clip in self.order.clips(step, number)]
        raise diverged(what, clips, lr)


def diverged(what: str, clips: Sequence[str], lr: float) -> RunError:
    """The error for a number that is not finite: which, of which clips, at which rate."""
    return RunError(
        what,
        found=f"learning rate {lr:g}; clips {first_of(clips) if len(clips) > 64 else ', '.join(clips)}",
        hint="lower training.lr, or set training.max_grad_norm; look at these clips",
    )
