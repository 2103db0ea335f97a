"""The learning rate by step."""

from __future__ import annotations

import math

from affectgpt.core.config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of step 0, 1, ...: linear up over `warmup_steps`, then a half cosine down to `min_lr`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * share))
