"""The training loop: on Hugging Face Accelerate, for one process or several, with exact resume.

All random numbers depend on the seed, the step and the micro-batch only, never on earlier draws.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from affectgpt.core.config import PipelineConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.prompt import turn_notes
from affectgpt.core.saved.model import untrained_tensors
from affectgpt.data.feature_cache.keys import tensors_digest
from affectgpt.data.samples import check_targets
from affectgpt.files.locks import exclusive
from affectgpt.registry.errors import ConfigError, DataError, RunError
from affectgpt.training.accelerator import make_accelerator, prepare, unwrap
from affectgpt.training.batch_order import BatchOrder, split
from affectgpt.training.checkpoints import Checkpoints
from affectgpt.training.micro_batches import (
    MicroBatchDataset,
    Samples,
    draw_answers,
    load_micro_batches,
    worker_death_as_error,
)
from affectgpt.training.parameter_groups import parameter_groups
from affectgpt.training.recorder import Recorder
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_settings import resume_settings
from affectgpt.training.stepper import Stepper
from affectgpt.training.stop_signals import StopRequest, stop_on_signal
from affectgpt.training.targets import LabelledClip, check_answer_lengths, cut_subtitles_note
from affectgpt.training.validation import BestLoss, Validation

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class History:
    """Result of a training run: the `losses` per step (mean cross-entropy in nats) and its duration in `seconds`.

    The losses are those since the first step, the seconds those since the run was `resumed` (at that step; 0: never).
    `best` is the lowest held-out loss and its step, whose weights the pipeline has afterwards; None without validation.
    """

    losses: list[float]
    seconds: float
    resumed: int = 0
    best: BestLoss | None = None


@dataclass(frozen=True)
class _TrainingData:
    """The training and the held-out clips: samples, and the indices of those that count."""

    samples: Samples
    clip_indices: Sequence[int]
    held_out_samples: Samples
    held_out: Sequence[int]

    def texts(self) -> list[LabelledClip]:
        return [_texts(self.samples)[index] for index in self.clip_indices]

    def held_out_texts(self) -> list[LabelledClip]:
        return [_texts(self.held_out_samples)[index] for index in self.held_out]

    def name(self, index: int) -> str:
        return _texts(self.samples)[index].name

    def answers(self, indices: Sequence[int], config: PipelineConfig, seed: int) -> list[str]:
        texts = [_texts(self.samples)[index] for index in indices]
        return [answer for answer, _ in draw_answers(texts, config, random.Random(seed))]

    def held_out_name(self, index: int) -> str:
        return _texts(self.held_out_samples)[index].name


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
    initial_weights: str = "",
) -> History:
    """Train what is not frozen on `samples`, as the config's `training` and `seed` say.

    `samples` is a list of [Sample][], or an object with `__len__` and `__getitem__` that returns them; `workers`
    processes prefetch them. If it has `examples`, names and texts are read from those. The order is a seeded shuffle,
    new in every epoch. Held out are the clips of `validation`, or the config's `validation_share` of the samples.

    With a `run` folder there is a log, and checkpoints that `resume` continues exactly; Ctrl-C then ends the run after
    the current step, with a checkpoint and RunError. `on_step(step, loss)` is called after each step, `on_note(text)`
    for each note to the user. `initial_weights`, a digest of the weights that the pipeline was read from, must be the
    same on resume. The pipeline ends with the weights of the lowest held-out loss, without validation with the last.

    Raises ConfigError when the machine, the model or the run folder does not support the config, DataError when there
    is no clip, an answer is missing or too long, or a clip cannot be read any more, CheckpointError when a checkpoint
    does not fit, and RunError when a loss is not finite or a file cannot be written.
    """
    config = pipeline.plan.config
    clips = _training_data(pipeline, samples, validation)
    if on_note and (note := cut_subtitles_note(pipeline, [*clips.texts(), *clips.held_out_texts()])):
        on_note(note)
    groups = parameter_groups(pipeline, config.training)
    _checkpoint_gradients(pipeline)
    fixed = tensors_digest(untrained_tensors(pipeline))
    if run is not None and not resume:
        run.check_unused()
    accelerator = make_accelerator(config.training, run.trackers if run else None)
    optimizer: Any = torch.optim.AdamW(groups, lr=config.training.lr, betas=config.training.betas)
    model, optimizer = prepare(accelerator, pipeline, optimizer)
    model.train()
    features = [getattr(source, "facts", None) for source in (clips.samples, clips.held_out_samples)]
    settings = resume_settings(
        config, clips.texts(), clips.held_out_texts(), accelerator.num_processes, features, fixed, initial_weights
    )
    checkpoints = Checkpoints(accelerator, model, optimizer, run, settings)
    with ExitStack() as stack:
        accelerator.wait_for_everyone()
        if run is not None and accelerator.is_main_process:
            stack.enter_context(exclusive(run.path))
        start, best_loss, notes = checkpoints.resume() if resume else (0, BestLoss(), [])
        micro_batches = config.training.gradient_accumulation * accelerator.num_processes
        notes += _note_batch_statistics(pipeline, config.training.batch_size, micro_batches)
        if on_note:
            plan = pipeline.plan
            turns = turn_notes(plan.config.prompt, plan.parts, plan.llm.config.turn_markers())
            for note in [*plan.llm.config.notes(), *turns, *notes]:
                on_note(note)
        recorder = Recorder(accelerator, run, start, config, stack)
        order = BatchOrder(
            clips.clip_indices,
            config.seed,
            config.training.batch_size,
            micro_batches,
        )
        requests = order.requests(
            range(start, config.training.steps), accelerator.process_index, accelerator.num_processes
        )
        dataset = MicroBatchDataset(clips.samples, pipeline.plan, config.training.modality_dropout)
        batches = stack.enter_context(closing(load_micro_batches(dataset, requests, workers)))
        stepper = Stepper(
            accelerator,
            model,
            optimizer,
            config.training,
            order,
            batches,
            clips.name,
            lambda step, number: pipeline.count_answer_tokens(
                clips.answers(order.clips(step, number), config, order.seed_at(step, number))
            ),
        )
        held_out = None
        if clips.held_out:
            held_out = Validation(pipeline, clips.held_out_samples, clips.held_out, workers, clips.held_out_name)
        stop_request = stack.enter_context(stop_on_signal(run is not None))
        with worker_death_as_error():
            _train_steps(stepper, recorder, checkpoints, held_out, best_loss, stop_request, start, on_step)
        if best_loss.step:
            checkpoints.restore_best(best_loss)
    unwrap(accelerator, model, pipeline)
    return History(
        recorder.losses, time.perf_counter() - recorder.start_time, start, best_loss if best_loss.step else None
    )


def _train_steps(
    stepper: Stepper,
    recorder: Recorder,
    checkpoints: Checkpoints,
    validation: Validation | None,
    best_loss: BestLoss,
    stop_request: StopRequest,
    start: int,
    on_step: OnStep | None,
) -> None:
    config = stepper.config
    step = start
    while step < config.steps and not best_loss.should_stop(config.patience):
        result = stepper.step(step, stop_request)
        step += 1
        recorder.step(step, result, stepper.order.micro_batches * stepper.order.batch_size)
        if on_step:
            on_step(step, result.loss)
        if validation is not None and (step % config.validate_every == 0 or step == config.steps):
            loss = validation.loss(stepper.accelerator, stepper.model, step, result.lr)
            lowest = best_loss.update(step, loss)
            recorder.measurement(step, loss, lowest)
            if lowest:
                recorder.flush()
                checkpoints.save_best(best_loss)
        last = step == config.steps or best_loss.should_stop(config.patience)
        due = config.checkpoint_every is not None and (last or step % config.checkpoint_every == 0)
        if due or result.stop_requested:
            recorder.flush()
            checkpoints.save(step, best_loss, config.keep_checkpoints)
        if result.stop_requested and not last:
            raise RunError(f"training was stopped after step {step}", hint="continue with resume=True")


def _training_data(pipeline: Pipeline, samples: Samples, validation: Samples | None) -> _TrainingData:
    """Split the clips into training and held-out ones. Raises ConfigError and DataError when they cannot be used."""
    config = pipeline.plan.config
    training = config.training
    if not len(samples):
        raise DataError("there is nothing to train on", expected="at least one clip")
    if validation is not None and training.validation_share:
        raise ConfigError(
            "there are clips for validation, and a share of the training clips is to be held out too",
            where="training.validation_share",
            hint="set it to 0",
        )
    if validation is not None and not len(validation):
        raise DataError("there is nothing to validate on", expected="at least one clip")
    clip_indices, held_out = split(len(samples), training, config.seed)
    if validation is not None:
        held_out = list(range(len(validation)))
    if training.patience is not None and not held_out:
        raise ConfigError(
            "patience needs held-out clips",
            where="training.patience",
            hint="set training.validation_share, or pass clips for validation",
        )
    clips = _TrainingData(samples, clip_indices, samples if validation is None else validation, held_out)
    labelled: list[Any] = [*clips.texts(), *clips.held_out_texts()]
    check_targets(labelled, training.target)
    check_answer_lengths(pipeline, labelled)
    return clips


def _texts(samples: Samples) -> Sequence[LabelledClip]:
    texts: Any = samples
    return getattr(samples, "examples", texts)  # type: ignore[no-any-return]


def _note_batch_statistics(pipeline: Pipeline, clips: int, micro_batches: int) -> list[str]:
    """A note where a step of several micro-batches is not one large batch, whatever the loss is divided by."""
    count = sum(isinstance(module, _BatchNorm) and module.training for module in pipeline.modules())
    if micro_batches == 1 or not count:
        return []
    return [
        f"{count} batch normalisation layers are trained: each takes its statistics over {clips} clips, not over the "
        f"{clips * micro_batches} of a step"
    ]


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
