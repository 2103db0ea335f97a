"""One job trains one variant with one seed and answers the test clips; jobs run here or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from affectgpt.core.config import PipelineConfig
from affectgpt.core.load_config import validate
from affectgpt.core.overrides import mapping_source
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.data.samples import Sample, batches
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover, load_plugins_from
from affectgpt.registry.entry import PluginEntry
from affectgpt.registry.errors import ConfigError, RunError
from affectgpt.workers.main_guard import check_main_guard
from affectgpt.workers.parent import exit_with_parent

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
OnStep: TypeAlias = Callable[[int, float], None]
_LAST_STEPS = 10


@dataclass(frozen=True)
class SampleSet:
    """The clips that some variants are trained on and tried on; one may read fewer streams than the samples hold."""

    train: Sequence[Sample]
    test: Sequence[Sample]


@dataclass(frozen=True)
class Job:
    """The variant `name` trained with `seed` on the sample set number `samples`; `save_to`: where its model is saved.

    `config` is a [PipelineConfig][] as plain values, but for its plugins, which the catalog holds.
    """

    name: str
    seed: int
    config: Mapping[str, object]
    samples: int = 0
    save_to: Path | None = None


@dataclass(frozen=True)
class JobResult:
    """What a job came to: the model's `texts` of the test clips, in order, and its number of trained `parameters`.

    `loss` is the mean of the last ten training losses, in nats; `seconds` is the time of training alone. `notes` say
    what training and test clips lost.
    """

    name: str
    seed: int
    texts: list[str]
    parameters: int
    loss: float
    seconds: float
    notes: list[str] = field(default_factory=list)


def plain_config(config: PipelineConfig) -> dict[str, object]:
    """A config as plain values, for a [Job][]."""
    return {key: value for key, value in config.model_dump(mode="json").items() if key != "plugins"}


def run_jobs(
    jobs: Sequence[Job], sample_sets: Sequence[SampleSet], catalog: Catalog, *, workers: int, progress: OnProgress
) -> Iterator[JobResult]:
    """Run `jobs`; results come as they finish.

    With 0 workers the jobs run one after the other in this process, else in that many processes of one thread each.
    Raises ConfigError when a process cannot import a plugin, RunError when a process dies; what a job raises comes
    through.
    """
    if workers == 0:
        for job in jobs:
            yield _run(job, sample_sets[job.samples], catalog, _on_step(job, progress))
        return
    yield from _run_in_processes(jobs, sample_sets, _added_plugins(catalog), workers, progress)


def _run_in_processes(
    jobs: Sequence[Job],
    sample_sets: Sequence[SampleSet],
    plugins: Sequence[PluginEntry],
    workers: int,
    progress: OnProgress,
) -> Iterator[JobResult]:
    check_main_guard()
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    # As bytes: sent as tensors, each would cross with an open file of its own, past the usual limit of 1024.
    content = pickle.dumps(list(sample_sets))
    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=context,
        initializer=_start,
        initargs=(content, list(plugins), messages, os.getpid()),
    ) as pool:
        running: list[Future[JobResult]] = [pool.submit(_run_job, job) for job in jobs]
        try:
            while running:
                with suppress(queue.Empty):
                    progress(*messages.get(timeout=0.2))
                for future in [future for future in running if future.done()]:
                    running.remove(future)
                    yield future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a process that trains a variant ended",
                found=str(error),
                hint="it may have run out of memory: use fewer workers; with workers=0 there is no such process",
            ) from error
        finally:
            for future in running:
                future.cancel()


_sample_sets: list[SampleSet] = []
_catalogs: list[Catalog] = []
_messages: Any = None


def _start(content: bytes, plugins: Sequence[PluginEntry], messages: Any, parent: int) -> None:
    import torch

    global _messages
    exit_with_parent(parent)
    torch.set_num_threads(1)
    catalog = discover()
    for plugin in plugins:
        _add_plugin(catalog, plugin)
    _catalogs.append(catalog)
    _sample_sets.extend(pickle.loads(content))
    _messages = messages


def _run_job(job: Job) -> JobResult:
    on_step = _on_step(job, lambda *message: _messages.put(message))
    return _run(job, _sample_sets[job.samples], _catalogs[0], on_step)


def _on_step(job: Job, progress: OnProgress) -> OnStep:
    label = f"training: {job.name}" + (f", seed {job.seed}" if job.seed else "")
    training: Any = job.config["training"]
    steps: int = training["steps"]
    return lambda step, loss: progress(label, step, steps)


def _run(job: Job, samples: SampleSet, catalog: Catalog, on_step: OnStep) -> JobResult:
    from affectgpt.core.assembly import assemble
    from affectgpt.core.saved.model import save
    from affectgpt.training.loop import train
    from affectgpt.training.random_state import preserve_random_state
    from affectgpt.training.targets import cut_subtitles_note

    source = mapping_source(job.config, [f"seed={job.seed}"], name=job.name)
    plan = make_plan(validate(source, catalog))
    with preserve_random_state():
        pipeline = assemble(plan)
        notes: list[str] = []
        history = train(pipeline, samples.train, on_step=on_step, on_note=notes.append)
        if note := cut_subtitles_note(pipeline, samples.test):
            notes.append(f"test clips: {note}")
        texts = write_texts(pipeline, samples.test)
    if job.save_to is not None:
        save(pipeline, job.save_to, dtype="float16")
    last = history.losses[-_LAST_STEPS:]
    return JobResult(
        job.name,
        job.seed,
        texts,
        sum(parameter.numel() for parameter in pipeline.parameters() if parameter.requires_grad),
        sum(last) / len(last),
        history.seconds,
        notes,
    )


def write_texts(pipeline: Pipeline, samples: Sequence[Sample], batch_size: int = 32) -> list[str]:
    """The pipeline's answer for every sample, in order."""
    return [
        answer.text
        for batch, _ in batches(samples, batch_size)
        for answer in pipeline.generate(batch.to(pipeline.device))
    ]


def _added_plugins(catalog: Catalog) -> list[PluginEntry]:
    """The plugins beside those that every process finds. Raises ConfigError for those of a notebook's cells."""
    installed = discover().entries
    added = [entry for key, entry in catalog.entries.items() if installed.get(key) != entry]
    in_cells = [entry.spec.name for entry in added if entry.spec.target.startswith("__main__:")]
    if in_cells and not hasattr(sys.modules["__main__"], "__file__"):
        raise ConfigError(
            "a plugin that is defined in a notebook exists in this process only",
            where="workers",
            found=", ".join(in_cells),
            hint="pass workers=0, or put the plugin into a .py file",
        )
    return added


def _add_plugin(catalog: Catalog, plugin: PluginEntry) -> None:
    path = Path(plugin.origin.source)
    if path.suffix == ".py" and path.is_file():
        load_plugins_from(catalog, str(path))
    else:
        catalog.add(plugin.spec, plugin.origin)
