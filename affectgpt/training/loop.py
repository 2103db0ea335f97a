"""The training loop: on Hugging Face Accelerate, for one process or several, with exact resume.

Everything random is a function of the seed, the step and the micro-batch, never of what was drawn before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import torch

from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import fixed_tensors
from affectgpt.data.feature_cache.keys import fingerprint
from affectgpt.data.samples import refuse_untold
from affectgpt.files.locks import alone
from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.training.accelerator import make_accelerator, prepare, release
from affectgpt.training.batch_order import Order, split
from affectgpt.training.checkpoints import Saver
from affectgpt.training.micro_batches import MicroBatches, Samples, made, told_of_dead_readers
from affectgpt.training.parameter_groups import parameter_groups
from affectgpt.training.recorder import Recording
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_settings import settings_of
from affectgpt.training.stepper import Stepper
from affectgpt.training.stop_signals import Interruption, heeded
from affectgpt.training.targets import Told, refuse_long_answers
from affectgpt.training.validation import Measured, Validation

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class History:
    """What a training run did: the `losses` per step (mean cross-entropy in nats) and the `seconds` it took.

    The losses are those since the first step, the seconds those since the run was `resumed` (at that step; 0: never).
    `best` is the lowest held-out loss and its step, whose weights the pipeline then has; None without validation.
    """

    losses: list[float]
    seconds: float
    resumed: int = 0
    best: Measured | None = None


@dataclass(frozen=True)
class _Clips:
    """What is trained on and what is held out, each as samples, their texts, and which of them count."""

    samples: Samples
    among: Sequence[int]
    held_samples: Samples
    held: Sequence[int]

    def texts(self) -> list[Told]:
        return [_texts(self.samples)[index] for index in self.among]

    def held_texts(self) -> list[Told]:
        return [_texts(self.held_samples)[index] for index in self.held]

    def name(self, index: int) -> str:
        return _texts(self.samples)[index].name

    def held_name(self, index: int) -> str:
        return _texts(self.held_samples)[index].name


def train(
    pipeline: Pipeline,
    samples: Samples,
    *,
    run: RunFolder | None = None,
    resume: bool = False,
    workers: int = 0,
    on_step: OnStep | None = None,
    on_note: Callable[[str], None] | None = None,
    validation: Samples | None = None,
    began_with: str = "",
) -> History:
    """Train what is not frozen on `samples`, as the config's `training` and `seed` say.

    `samples` are a list of [Sample][], or anything with `__len__` and `__getitem__` that gives them, made ahead by
    `workers` processes; where it has `examples`, names and texts are read there. The order is a seeded shuffle, anew
    in every epoch. Held out are the clips of `validation`, or the config's `validation_share` of the samples.

    With a `run` folder there is a log, and checkpoints, from which `resume` goes on exactly; Ctrl-C then ends the step,
    writes a checkpoint and raises RunError. `on_step(step, loss)` is called after each step, `on_note` with what a
    user should know; `began_with`, a hash of what the weights were read from, has to be the same on resume. The
    pipeline ends with the weights of the lowest held-out loss, or else with the last ones.

    Raises ConfigError when this machine, this model or this run folder cannot do what is asked, DataError when there
    is no clip, an answer is missing or too long, or a clip cannot be read any more, CheckpointError when a checkpoint
    does not fit, and RunError when a loss is not finite or the disk refuses.
    """
    config = pipeline.plan.config
    clips = _clips(pipeline, samples, validation)
    groups = parameter_groups(pipeline, config.training)
    _checkpoint_gradients(pipeline)
    fixed = fingerprint(fixed_tensors(pipeline))
    if run is not None and not resume:
        run.refuse_used()
    accelerator = make_accelerator(config.training, run.trackers if run else None)
    optimizer: Any = torch.optim.AdamW(groups, lr=config.training.lr, betas=config.training.betas)
    model, optimizer = prepare(accelerator, pipeline, optimizer)
    model.train()
    features = [getattr(each, "facts", None) for each in (clips.samples, clips.held_samples)]
    settings = settings_of(
        config, clips.texts(), clips.held_texts(), accelerator.num_processes, features, fixed, began_with
    )
    saver = Saver(accelerator, model, optimizer, run, settings)
    with ExitStack() as stack:
        accelerator.wait_for_everyone()
        if run is not None and accelerator.is_main_process:
            stack.enter_context(alone(run.path))
        start, measured, notes = saver.go_on() if resume else (0, Measured(), [])
        if on_note:
            for note in notes:
                on_note(note)
        record = Recording(accelerator, run, start, config, stack)
        order = Order(
            clips.among,
            config.seed,
            config.training.batch_size,
            config.training.gradient_accumulation * accelerator.num_processes,
        )
        wanted = order.wanted(range(start, config.training.steps), accelerator.process_index, accelerator.num_processes)
        made_here = MicroBatches(clips.samples, pipeline.plan, config.training.modality_dropout)
        batches = stack.enter_context(closing(made(made_here, wanted, workers)))
        stepper = Stepper(accelerator, model, optimizer, config.training, order, batches, clips.name)
        held_out = None
        if clips.held:
            held_out = Validation(pipeline, clips.held_samples, clips.held, workers, clips.held_name)
        interruption = stack.enter_context(heeded(run is not None))
        with told_of_dead_readers():
            _go(stepper, record, saver, held_out, measured, interruption, start, on_step)
        if measured.step:
            saver.put_best_back(measured)
    release(accelerator, model, pipeline)
    return History(record.losses, time.perf_counter() - record.began, start, measured if measured.step else None)


def _go(
    stepper: Stepper,
    record: Recording,
    saver: Saver,
    held_out: Validation | None,
    measured: Measured,
    interruption: Interruption,
    start: int,
    on_step: OnStep | None,
) -> None:
    config = stepper.config
    step = start
    while step < config.steps and not measured.enough(config.patience):
        taken = stepper.take(step, interruption)
        step += 1
        record.step(step, taken, stepper.order.micro_batches * stepper.order.batch_size)
        if on_step:
            on_step(step, taken.loss)
        if held_out is not None and (step % config.validate_every == 0 or step == config.steps):
            loss = held_out.loss(stepper.accelerator, stepper.model, step, taken.lr)
            lowest = measured.add(step, loss)
            record.measurement(step, loss, lowest)
            if lowest:
                record.settle()
                saver.save_best(measured)
        last = step == config.steps or measured.enough(config.patience)
        due = config.checkpoint_every is not None and (last or step % config.checkpoint_every == 0)
        if due or taken.asked:
            record.settle()
            saver.save(step, measured, config.keep_checkpoints)
        if taken.asked and not last:
            raise RunError(f"training was stopped after step {step}", hint="go on with --resume")


def _clips(pipeline: Pipeline, samples: Samples, validation: Samples | None) -> _Clips:
    """What is trained on and what is held out. Raises ConfigError and DataError for what cannot be trained on."""
    config = pipeline.plan.config
    training = config.training
    if not len(samples):
        raise DataError("there is nothing to train on", expected="at least one clip")
    if validation is not None and training.validation_share:
        raise ConfigError(
            "clips for validation are given, and a share of the others is to be held out too",
            where="training.validation_share",
            hint="set it to 0",
        )
    if validation is not None and not len(validation):
        raise DataError("there is nothing to validate on", expected="at least one clip")
    among, held = split(len(samples), training, config.seed)
    if validation is not None:
        held = list(range(len(validation)))
    if training.patience is not None and not held:
        raise ConfigError(
            "patience needs held-out clips",
            where="training.patience",
            hint="set training.validation_share, or give clips for validation",
        )
    clips = _Clips(samples, among, samples if validation is None else validation, held)
    told: list[Any] = [*clips.texts(), *clips.held_texts()]
    refuse_untold(told, training.target)
    refuse_long_answers(pipeline, told)
    return clips


def _texts(samples: Samples) -> Sequence[Told]:
    texts: Any = samples
    return getattr(samples, "examples", texts)  # type: ignore[no-any-return]


def _checkpoint_gradients(pipeline: Pipeline) -> None:
    if not pipeline.plan.config.training.gradient_checkpointing:
        return
    begin = getattr(pipeline.llm, "checkpoint_gradients", None)
    if begin is None:
        raise ConfigError(
            "this LLM cannot checkpoint gradients",
            where="training.gradient_checkpointing",
            found=pipeline.plan.config.llm.plugin,
            hint="set it to false",
        )
    begin()
