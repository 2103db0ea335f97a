"""The loss over clips that are never trained on, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import RunError
from affectgpt.training.accelerator import reshard
from affectgpt.training.micro_batches import MicroBatches, Samples, Wanted, made
from affectgpt.training.seeds import seed_of


class Validation:
    """Held-out clips `among` the samples, measured in batches of the config's size, in a fixed order.

    Of P processes, number p measures the batches p, p + P, ...; which clips share a batch does not depend on P.
    """

    def __init__(self, pipeline: Pipeline, samples: Samples, among: Sequence[int], workers: int) -> None:
        config = pipeline.plan.config
        size = config.training.batch_size
        self.pipeline, self.workers = pipeline, workers
        self.batches = MicroBatches(samples, pipeline.plan, 0.0)
        # Whether `mixed` asks for labels or for the description is drawn once and for all.
        self.wanted = [
            Wanted(tuple(among[start : start + size]), seed_of(config.seed, "validation", start))
            for start in range(0, len(among), size)
        ]

    @torch.no_grad()
    def loss(self, accelerator: Accelerator, model: nn.Module) -> float:
        """The mean loss in nats: of each batch the mean over its answers' tokens, weighted by its number of clips.

        Every process must call this. The model is in training mode again afterwards.
        """
        model.eval()
        count, first = accelerator.num_processes, accelerator.process_index
        rounds = math.ceil(len(self.wanted) / count)
        # A sharded model runs in all processes or in none: where no batch is left, the first stands in, uncounted.
        mine = [number if number < len(self.wanted) else None for number in range(first, rounds * count, count)]
        wanted = [self.wanted[number or 0] for number in mine]
        total = torch.zeros(2, dtype=torch.float64)
        for number, each, one in zip(mine, wanted, made(self.batches, wanted, self.workers), strict=True):
            with accelerator.autocast():
                loss = self.pipeline(one.batch.to(accelerator.device), one.answers, one.questions)
            if number is not None:
                total += torch.tensor([loss.item() * len(each.clips), len(each.clips)], dtype=torch.float64)
        model.train()
        reshard(model)
        summed: Any = accelerator.reduce(total.to(accelerator.device), "sum") if count > 1 else total
        return float(summed[0] / summed[1])


@dataclass
class Measured:
    """The lowest held-out loss so far and its step, and how many measurements there were since."""

    step: int = 0
    loss: float = math.inf
    since: int = 0

    def add(self, step: int, loss: float) -> bool:
        """Note a measurement; True when it is the lowest. Raises RunError when it is no finite number."""
        if not math.isfinite(loss):
            raise RunError(f"the held-out loss is {loss} at step {step}", hint="lower training.lr")
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
