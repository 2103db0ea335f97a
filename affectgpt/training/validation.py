"""The loss over held-out clips, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from affectgpt.core.pipeline import Pipeline
from affectgpt.training.accelerator import reshard
from affectgpt.training.micro_batches import BatchRequest, MicroBatchDataset, Samples, load_micro_batches
from affectgpt.training.schedule import derive_seed
from affectgpt.training.stepper import error_diverged


class Validation:
    """Held-out clips, the samples `clip_indices`, measured in batches of the config's size, in a fixed order.

    Of P processes, number p measures the batches p, p + P, ...; which clips share a batch does not depend on P.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        samples: Samples,
        clip_indices: Sequence[int],
        workers: int,
        name: Callable[[int], str],
    ) -> None:
        config = pipeline.plan.config
        size = config.training.batch_size
        self.pipeline, self.workers, self.name = pipeline, workers, name
        self.batches = MicroBatchDataset(samples, pipeline.plan, 0.0)
        # One seed per batch: with target `mixed`, every validation asks the same question of a clip.
        self.requests = [
            BatchRequest(tuple(clip_indices[start : start + size]), derive_seed(config.seed, "validation", start))
            for start in range(0, len(clip_indices), size)
        ]

    @torch.no_grad()
    def loss(self, accelerator: Accelerator, model: nn.Module, step: int, lr: float) -> float:
        """The mean loss in nats: of each batch the mean over its answers' tokens, weighted by its number of clips.

        Every process must call this. The model is in training mode again afterwards. Raises RunError, in all processes,
        when it is not finite after `step` steps, the last at rate `lr`.
        """
        model.eval()
        count, first = accelerator.num_processes, accelerator.process_index
        rounds = math.ceil(len(self.requests) / count)
        # A sharded model must run in all processes: one that has no batch left runs the first, which is not counted.
        requests = [
            self.requests[number] if number < len(self.requests) else self.requests[0]
            for number in range(first, rounds * count, count)
        ]
        own_losses = []
        for micro_batch in load_micro_batches(self.batches, requests, self.workers):
            with accelerator.autocast():
                loss = self.pipeline(
                    micro_batch.batch.to(accelerator.device), micro_batch.answers, micro_batch.questions
                )
            own_losses.append(loss.float())
        model.train()
        reshard(model)
        gathered: Any = accelerator.gather(torch.stack(own_losses))
        # One process after the other; number p has measured the batches p, p + P, ...
        losses = gathered.view(count, rounds).T.flatten().tolist()[: len(self.requests)]
        diverging = [
            self.name(clip)
            for request, loss in zip(self.requests, losses, strict=True)
            if not math.isfinite(loss)
            for clip in request.clips
        ]
        sizes = [len(request.clips) for request in self.requests]
        mean = sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)
        if diverging:
            raise error_diverged(f"the held-out loss is {mean} at step {step}", diverging, lr)
        return float(mean)


@dataclass
class BestLoss:
    """The lowest held-out loss so far and its step, and how many measurements there were since."""

    step: int = 0
    loss: float = math.inf
    since: int = 0

    def update(self, step: int, loss: float) -> bool:
        """Note a measurement; True when it is the lowest."""
        if loss < self.loss:
            self.step, self.loss, self.since = step, loss, 0
            return True
        self.since += 1
        return False

    def should_stop(self, patience: int | None) -> bool:
        """Whether the last `patience` measurements brought no lower loss."""
        return patience is not None and self.since >= patience

    def state(self) -> dict[str, Any] | None:
        """The values that a checkpoint holds; None before the first measurement."""
        return {"step": self.step, "loss": self.loss, "since": self.since} if self.step else None

    @classmethod
    def from_state(cls, state: Any) -> BestLoss:
        """Read what [state][BestLoss.state] returned."""
        return cls(int(state["step"]), float(state["loss"]), int(state["since"])) if state else cls()
