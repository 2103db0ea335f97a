"""The learning rate and the seeds of random numbers, by step."""

from __future__ import annotations

import hashlib
import math

from affectgpt.core.config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of step 0, 1, ...: linear up over `warmup_steps`, then a half cosine down to `min_lr`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * share))


def derive_seed(*parts: int | str) -> int:
    """A seed of 32 bits from the config's seed, the use, and the position in the run: `derive_seed(3, "order", epoch)`.

    Equal parts give equal seeds in every process and on every machine.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
