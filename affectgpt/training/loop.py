"""The training loop: one process, a fixed number of steps, on Hugging Face Accelerate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from affectgpt.core.batch import collate
from affectgpt.core.config import TrainingConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.data.clips import Sample
from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.training.modality_dropout import ModalityDropout


@dataclass(frozen=True)
class History:
    """What a training run did: the `losses` per step (mean cross-entropy in nats) and the `seconds` it took."""

    losses: list[float]
    seconds: float


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of step 0, 1, ...: linear up over `warmup_steps`, then a half cosine down to `min_lr`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * share))


def parameter_groups(pipeline: Pipeline, config: TrainingConfig) -> list[dict[str, Any]]:
    """Trained parameters in groups: matrices decay, vectors (biases, norms) do not; the LLM may have its own rate.

    Each group's `scale` is its share of the scheduled rate.
    """
    trained = [(name, each) for name, each in pipeline.named_parameters() if each.requires_grad]
    groups = []
    for of_llm in (False, True):
        scale = config.rates.get("llm", config.lr) / config.lr if of_llm else 1.0
        chosen = [each for name, each in trained if name.startswith("llm.") == of_llm]
        matrices, vectors = [each for each in chosen if each.ndim >= 2], [each for each in chosen if each.ndim < 2]
        groups.append({"params": matrices, "weight_decay": config.weight_decay, "scale": scale})
        groups.append({"params": vectors, "weight_decay": 0.0, "scale": scale})
    return [group for group in groups if group["params"]]


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """An Accelerator of the config's precision. Raises ConfigError when this machine cannot do it."""
    # Its state is process-wide; without this, a second run of another precision in one process would be refused.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(mixed_precision=config.precision)
        if config.precision == "fp16" and accelerator.device.type == "cpu":
            # Accelerate would train in float32 without a word.
            raise ValueError("fp16 needs a GPU: use bf16 or no")
        return accelerator
    except ValueError as error:
        raise ConfigError(
            "this machine cannot train in this precision", where="training.precision", found=config.precision,
            hint=str(error).splitlines()[0],
        ) from error


def refuse_long_answers(pipeline: Pipeline, samples: Sequence[Sample]) -> None:
    """Raise DataError when an answer and the longest prompt do not fit into the LLM's context."""
    budget = pipeline.plan.budget
    room = budget.context - (budget.total - budget.answer)
    long = [each.name for each in samples if len(pipeline.llm.encode(each.description, special=False)) + 1 > room]
    if long:
        raise DataError(
            f"{len(long)} answers do not fit into the LLM's context", found=", ".join(long[:5]),
            expected=f"at most {room} tokens each", hint="leave these clips out, or shorten their texts",
        )


def train(
    pipeline: Pipeline, samples: Sequence[Sample], on_step: Callable[[int, float], None] | None = None
) -> History:
    """Train what is not frozen on `samples`, as the config's `training` and `seed` say.

    The order of the clips is a seeded shuffle, anew in every epoch. `on_step(step, loss)` is called after each
    step. Raises ConfigError when this machine cannot train in the precision asked for, DataError when there is no
    clip or an answer is too long, and RunError when the loss is no longer finite.
    """
    config = pipeline.plan.config.training
    if not samples:
        raise DataError("there is nothing to train on", expected="at least one clip")
    refuse_long_answers(pipeline, samples)
    groups = parameter_groups(pipeline, config)
    torch.manual_seed(pipeline.plan.config.seed)
    accelerator = make_accelerator(config)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)
    model, optimizer = accelerator.prepare(pipeline, optimizer)
    model.train()
    order = _shuffled(len(samples), pipeline.plan.config.seed)
    drop = ModalityDropout(pipeline, config.modality_dropout)
    losses: list[float] = []
    started = time.perf_counter()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config) * group["scale"]
        total = 0.0
        for _ in range(config.gradient_accumulation):
            chosen = [drop.apply(samples[next(order)]) for _ in range(config.batch_size)]
            batch = collate([each.media for each in chosen], [each.subtitle for each in chosen])
            with accelerator.autocast():
                loss = model(batch.to(accelerator.device), [each.description for each in chosen])
            accelerator.backward(loss / config.gradient_accumulation)
            total += loss.item() / config.gradient_accumulation
        if not math.isfinite(total):
            raise RunError(
                f"the loss is {total} at step {step + 1}", hint="lower training.lr, or set training.max_grad_norm"
            )
        if config.max_grad_norm is not None:
            accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        if on_step:
            on_step(step + 1, total)
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    pipeline.eval()
    return History(losses, time.perf_counter() - started)


def _shuffled(count: int, seed: int) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
