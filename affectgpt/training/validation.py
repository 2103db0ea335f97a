"""The loss over clips that are never trained on, and what follows from it."""

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
from affectgpt.training.micro_batches import MicroBatches, Samples, Wanted, made
from affectgpt.training.seeds import seed_of
from affectgpt.training.stepper import diverged


class Validation:
    """Held-out clips `among` the samples, measured in batches of the config's size, in a fixed order.

    Of P processes, number p measures the batches p, p + P, ...; which clips share a batch does not depend on P.
    """

    def __init__(
        self, pipeline: Pipeline, samples: Samples, among: Sequence[int], workers: int, name: Callable[[int], str]
    ) -> None:
        config = pipeline.plan.config
        size = config.training.batch_size
        self.pipeline, self.workers, self.name = pipeline, workers, name
        self.batches = MicroBatches(samples, pipeline.plan, 0.0)
        # Whether `mixed` asks for labels or for the description is drawn once and for all.
        self.wanted = [
            Wanted(tuple(among[start : start + size]), seed_of(config.seed, "validation", start))
            for start in range(0, len(among), size)
        ]

    @torch.no_grad()
    def loss(self, accelerator: Accelerator, model: nn.Module, step: int, lr: float) -> float:
        """The mean loss in nats: of each batch the mean over its answers' tokens, weighted by its number of clips.

        Every process must call this. The model is in training mode again afterwards. Raises RunError, in all processes,
        when it is no finite number after `step` steps, the last at rate `lr`.
        """
        model.eval()
        count, first = accelerator.num_processes, accelerator.process_index
        rounds = math.ceil(len(self.wanted) / count)
        # A sharded model runs in all processes or in none: where no batch is left, the first stands in, uncounted.
        wanted = [
            self.wanted[number] if number < len(self.wanted) else self.wanted[0]
            for number in range(first, rounds * count, count)
        ]
        measured = []
        for one in made(self.batches, wanted, self.workers):
            with accelerator.autocast():
                loss = self.pipeline(one.batch.to(accelerator.device), one.answers, one.questions)
            measured.append(loss.float())
        model.train()
        reshard(model)
        together: Any = accelerator.gather(torch.stack(measured))
        # One process after the other; number p has measured the batches p, p + P, ...
        losses = together.view(count, rounds).T.flatten().tolist()[: len(self.wanted)]
        guilty = [
            self.name(clip)
            for each, loss in zip(self.wanted, losses, strict=True)
            if not math.isfinite(loss)
            for clip in each.clips
        ]
        sizes = [len(each.clips) for each in self.wanted]
        mean = sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)
        if guilty:
            raise diverged(f"the held-out loss is {mean} at step {step}", guilty, lr)
        return float(mean)


@dataclass
class Measured:
    """The lowest held-out loss so far and its step, and how many measurements there were since."""

    step: int = 0
    loss: float = math.inf
    since: int = 0

    def add(self, step: int, loss: float) -> bool:
        """Note a measurement; True when it is the lowest."""
        if loss < self.loss:
            self.step, self.loss, self.since = step, loss, 0
            return True
        self.since += 1
        return False

    def enough(self, patience: int | None) -> bool:
        """Whether so many measurements brought nothing that training stops."""
        return patience is not None and self.since >= patience

    def facts(self) -> dict[str, Any] | None:
        """What a checkpoint keeps."""
        return {"step": self.step, "loss": self.loss, "since": self.since} if self.step else None

    @classmethod
    def of(cls, facts: Any) -> Measured:
        """What [facts][Measured.facts] gave."""
        return cls(int(facts["step"]), float(facts["loss"]), int(facts["since"])) if facts else cls()
