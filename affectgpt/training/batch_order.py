"""Which clips a micro-batch holds: a function of the seed and the place in the run, for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from affectgpt.core.config import TrainingConfig
from affectgpt.training.micro_batches import Wanted
from affectgpt.training.seeds import seed_of


@dataclass(frozen=True)
class Order:
    """The clips `among` (indices into the samples) in a seeded shuffle, anew in every epoch, one epoch after the other.

    A step has `micro_batches` micro-batches of `batch_size` clips each, all processes together. Of P processes, number
    p works on the micro-batches p, p + P, ... of a step.
    """

    among: Sequence[int]
    seed: int
    batch_size: int
    micro_batches: int

    def clips(self, step: int, micro_batch: int) -> list[int]:
        """The clips of a micro-batch (0, 1, ...) of a step (0, 1, ...). An epoch may end within it."""
        start = (step * self.micro_batches + micro_batch) * self.batch_size
        places = range(start, start + self.batch_size)
        return [
            self.among[_shuffled(len(self.among), self.seed, at // len(self.among))[at % len(self.among)]]
            for at in places
        ]

    def wanted(self, steps: range, process: int, processes: int) -> Iterator[Wanted]:
        """What one process works on in these steps, in order."""
        for step in steps:
            for number in range(process, self.micro_batches, processes):
                yield Wanted(tuple(self.clips(step, number)), self.seed_at(step, number))

    def seed_at(self, step: int, micro_batch: int) -> int:
        """The seed of everything random in a micro-batch."""
        return seed_of(self.seed, "micro-batch", step, micro_batch)


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    shuffled: list[int] = torch.randperm(count, generator=generator).tolist()
    return shuffled


def split(count: int, config: TrainingConfig, seed: int) -> tuple[list[int], list[int]]:
    """Which of `count` clips are trained on, and which are held out, as `validation_share` says; both in order.

    A share above 0 holds out one clip at least, and leaves one at least.
    """
    if config.validation_share == 0 or count < 2:
        return list(range(count)), []
    number = min(count - 1, max(1, round(count * config.validation_share)))
    generator = torch.Generator().manual_seed(seed_of(seed, "validation"))
    drawn = torch.randperm(count, generator=generator).tolist()
    return sorted(drawn[number:]), sorted(drawn[:number])
