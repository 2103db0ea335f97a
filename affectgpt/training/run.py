"""A whole training run: check, build, read clips, train, save. One process, or several that torchrun started."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from accelerate.utils import extract_model_from_parallel

from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.extras import copy_sidecar
from affectgpt.core.saved.model import save
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import ConfigError
from affectgpt.training.loop import History, train
from affectgpt.training.micro_batches import Samples
from affectgpt.training.parameter_groups import parameter_groups
from affectgpt.training.random_state import preserve_random_state
from affectgpt.training.result import Best, ResultFile, RunResult
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_log import read_losses
from affectgpt.training.run_places import check_free, check_run_places
from affectgpt.training.sample_source import SampleSource
from affectgpt.training.starting_point import StartingPoint
from affectgpt.training.train_result import TrainResult, is_main_process

Decode: TypeAlias = Literal["once", "each-time"]
Clips: TypeAlias = "Sequence[Example] | Sequence[Sample]"
OnProgress: TypeAlias = Callable[[str, int, int | None], None]
TRAINED, HELD_OUT = "clips", "held-out clips"


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked for, apart from its config; see [affectgpt.train][]."""

    out: Path | None = None
    run: Path | None = None
    resume: bool = False
    features: Path | None = None
    decode: Decode = "once"
    workers: int = 0
    allow_unreadable: float = 0.01

    def check(self, start: StartingPoint) -> None:
        """Raise ConfigError for settings that exclude each other, and for places that cannot be used."""
        check_run_places(start.folder, self.out, self.run)
        if not isinstance(self.workers, int) or self.workers < 0:
            raise ConfigError(
                "the number is out of range",
                where="workers",
                found=repr(self.workers),
                expected="an integer, at least 0",
            )
        if not 0 <= self.allow_unreadable <= 1:
            raise ConfigError(
                "this is not a share", where="allow_unreadable", found=repr(self.allow_unreadable), expected="0 to 1"
            )
        if self.resume and self.run is None:
            raise ConfigError("a run without a folder cannot be resumed", where="resume", hint="pass run= or out=")
        if self.features is not None and self.decode == "each-time":
            raise ConfigError(
                "with features nothing is decoded", where="decode", found="each-time", hint="leave it out"
            )

    def check_clips(self, clips: Mapping[str, Clips]) -> None:
        """Raise ConfigError for settings that mean nothing to samples, which are decoded already."""
        if not any(_are_samples(group) for group in clips.values()):
            return
        for argument, used in (("features", self.features is not None), ("decode", self.decode == "each-time")):
            if used:
                raise ConfigError(
                    "samples are decoded already",
                    where=argument,
                    expected="a manifest, a data set folder, or a list of Example",
                    hint="leave it out, or pass the clips themselves",
                )


class TrainingRun:
    """One training: `start` trained on `clips[TRAINED]`, the loss also measured on `clips[HELD_OUT]` if they are there.

    `settings` have passed [RunSettings.check][]. Raises ConfigError when the clips or the plan do not fit a feature
    cache, and DataError when the cache cannot be read.
    """

    def __init__(
        self, start: StartingPoint, clips: Mapping[str, Clips], settings: RunSettings, progress: OnProgress
    ) -> None:
        settings.check_clips(clips)
        self.start, self.clips, self.settings = start, clips, settings
        self._progress = progress if is_main_process() else _no_progress
        self.cache = None if settings.features is None else FeatureCache.open(settings.features)
        if self.cache is not None:
            self.cache.check_plan(start.plan)
        self._initial_weights = start.digest()
        self._ending: ResultFile | None = None
        if settings.out is not None and settings.run is not None:
            self._ending = ResultFile(
                settings.run,
                settings.out,
                start.plan.config,
                clips,
                self._initial_weights,
                self.cache.digest() if self.cache is not None else "",
            )

    def find_finished(self) -> TrainResult | None:
        """The result of this run when it is to be resumed, is finished, and has its model; else None.

        Raises ConfigError when it was made with other settings or clips, CheckpointError when the model is another.
        """
        if self._ending is None or not self.settings.resume:
            return None
        summary = self._ending.read()
        if summary is None:
            return None
        model, run = self.settings.out, self.settings.run
        assert model is not None and run is not None
        summary = summary.model_copy(update={"model": str(model), "run": str(run)})
        result = TrainResult(
            summary,
            pipeline=partial(self.start.load_finished, model),
            losses=partial(read_losses, run / "log.jsonl", summary.steps),
            model=model,
            run=run,
            finished_before=True,
        )
        if self.start.pipeline is not None:
            # Trained in place: the caller's own pipeline gets the weights of the run.
            assert result.pipeline is self.start.pipeline
        return result

    def train(self, before_run: Callable[[], None]) -> TrainResult:
        """Build, read the clips, train and save; `before_run` is called between building and reading.

        Raises as [affectgpt.train][] says.
        """
        out, run = self.settings.out, self.settings.run
        if out is not None:
            check_free(out)
        folder = RunFolder(run) if run is not None else None
        if folder is not None and not self.settings.resume:
            folder.check_unused()
        with preserve_random_state():
            self._progress("building the pipeline", 0, None)
            pipeline = self.start.build(self.cache, lambda name: None)
            self._progress("building the pipeline", 1, 1)
            # Rates of parts that do not exist are refused here, before all clips are read.
            parameter_groups(pipeline, self.start.plan.config.training)
            before_run()
            samples, skipped, loader_workers = self._read(pipeline)
            with _back_on_its_device(pipeline):
                history = train(
                    pipeline,
                    samples[TRAINED],
                    run=folder,
                    resume=self.settings.resume,
                    workers=loader_workers,
                    on_note=_note,
                    on_step=self._on_step,
                    validation=samples.get(HELD_OUT),
                    initial_weights=self._initial_weights,
                )
        summary = self._summary(history, len(samples[TRAINED]), skipped)
        if is_main_process():
            self._save(pipeline, summary)
        return TrainResult(
            summary,
            pipeline=partial(self.start.complete, pipeline),
            losses=lambda: history.losses,
            model=out,
            run=run,
        )

    def _read(self, pipeline: Pipeline) -> tuple[dict[str, Samples], list[str], int]:
        """The samples, the names of the clips that were left out, and how many processes read while training."""
        settings = self.settings
        source = SampleSource(
            pipeline, self.cache, settings.decode == "each-time", settings.workers, settings.allow_unreadable
        )
        samples: dict[str, Samples] = {}
        skipped: list[str] = []
        for what, clips in self.clips.items():
            if _are_samples(clips):
                samples[what] = clips
                continue
            reading = f"reading {what}"
            self._progress(reading, 0, len(clips))
            samples[what], broken = source.read(clips, partial(self._progress, reading))  # type: ignore[arg-type]
            for clip in broken:
                _note(f"skipped {clip.name}: {clip.problem.what}")
            skipped += [clip.name for clip in broken]
        return samples, skipped, source.loader_workers

    def _on_step(self, step: int, loss: float) -> None:
        self._progress("training", step, self.start.plan.config.training.steps)
        show_note = getattr(self._progress, "note", None)
        if show_note is not None:
            show_note(f"loss {loss:.3f}")

    def _summary(self, history: History, clips: int, skipped: list[str]) -> RunResult:
        best = history.best
        return RunResult(
            model=str(self.settings.out or ""),
            run=str(self.settings.run or ""),
            clips=clips,
            skipped=skipped,
            steps=len(history.losses),
            seconds=round(history.seconds, 1),
            resumed=history.resumed,
            first_loss=history.losses[0],
            last_loss=history.losses[-1],
            best=Best(step=best.step, validation_loss=best.loss) if best else None,
        )

    def _save(self, pipeline: Pipeline, summary: RunResult) -> None:
        if self.settings.out is None:
            return
        if self._ending is not None:
            self._ending.write(pipeline, summary)
        # With its released files, a model that was converted and trained further can be converted back.
        released = None if self.start.folder is None else partial(copy_sidecar, self.start.folder)
        save(pipeline, self.settings.out, write_extras=released)


@contextmanager
def _back_on_its_device(pipeline: Pipeline) -> Iterator[None]:
    """Leave the pipeline in evaluation mode on the device that it was on, also when training fails or is stopped."""
    device = pipeline.device
    try:
        yield
    finally:
        # A training that was stopped has not taken off what Accelerate put around the forward pass.
        extract_model_from_parallel(pipeline, keep_fp32_wrapper=False)
        pipeline.eval()
        if pipeline.device != device:
            pipeline.to(device)


def _are_samples(clips: Clips) -> bool:
    return any(isinstance(clip, Sample) for clip in clips[:1])


def _note(text: str) -> None:
    if is_main_process():
        warnings.warn(text, stacklevel=2)


def _no_progress(what: str, count: int, total: int | None) -> None:
    pass
