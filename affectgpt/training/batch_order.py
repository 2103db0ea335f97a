"""Which clips a micro-batch holds: depends on the seed and the step, not on the number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from affectgpt.core.config import TrainingConfig
from affectgpt.training.micro_batches import BatchRequest
from affectgpt.training.schedule import derive_seed


@dataclass(frozen=True)
class BatchOrder:
    """The samples `clip_indices` in a seeded shuffle, new in every epoch, one epoch after the other.

    A step has `micro_batches` micro-batches of `batch_size` clips each, all processes together. Of P processes, number
    p works on the micro-batches p, p + P, ... of a step.
    """

    clip_indices: Sequence[int]
    seed: int
    batch_size: int
    micro_batches: int

    def clips(self, step: int, micro_batch: int) -> list[int]:
        """The clips of a micro-batch (0, 1, ...) of a step (0, 1, ...). An epoch may end within it."""
        start = (step * self.micro_batches + micro_batch) * self.batch_size
        positions = range(start, start + self.batch_size)
        return [
            self.clip_indices[
                _shuffled(len(self.clip_indices), self.seed, at // len(self.clip_indices))[at % len(self.clip_indices)]
            ]
            for at in positions
        ]

    def requests(self, steps: range, process: int, processes: int) -> Iterator[BatchRequest]:
        """The micro-batches of one process in these steps, in order."""
        for step in steps:
            for number in range(process, self.micro_batches, processes):
                yield BatchRequest(tuple(self.clips(step, number)), self.seed_at(step, number))

    def seed_at(self, step: int, micro_batch: int) -> int:
        """The seed of everything random in a micro-batch."""
        return derive_seed(self.seed, "micro-batch", step, micro_batch)


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    shuffled: list[int] = torch.randperm(count, generator=generator).tolist()
    return shuffled


def split(count: int, config: TrainingConfig, seed: int) -> tuple[list[int], list[int]]:
    """Which of `count` clips are trained on, and which are held out, as `validation_share` says; both in order.

    A share above 0 holds out one clip at least, and leaves one at least.
    """
    if config.validation_share == 0 or count < 2:
        return list(range(count)), []
    number = min(count - 1, max(1, round(count * config.validation_share)))
    generator = torch.Generator().manual_seed(derive_seed(seed, "validation"))
    permutation = torch.randperm(count, generator=generator).tolist()
    return sorted(permutation[number:]), sorted(permutation[:number])
