"""Train, and run frozen encoders once over all clips."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from affectgpt.api.data_sets import Data, read_data
from affectgpt.api.resolve import (
    Plugins,
    Progress,
    catalog_for,
    check_dtype,
    check_workers,
    choose_device,
    optional_path,
    path_of,
    progress_callback,
)
from affectgpt.api.start import Start
from affectgpt.data.example import Example
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.messages import short_repr
from affectgpt.serving.clip_arguments import check_counts

if TYPE_CHECKING:
    from affectgpt.data.feature_cache.fixed_encoders import FrozenEncoders
    from affectgpt.data.feature_cache.writer import Encoded as Encoded
    from affectgpt.training.train_result import TrainResult as TrainResult
else:
    # These classes import torch.
    _CLASS_OF = {
        "Encoded": ("affectgpt.data.feature_cache.writer", "Encoded"),
        "TrainResult": ("affectgpt.training.train_result", "TrainResult"),
    }

    def __getattr__(name: str) -> object:
        if name not in _CLASS_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _CLASS_OF[name]
        return getattr(import_module(module), attribute)


def train(
    start: Start,
    data: Data,
    *changes: str,
    out: str | Path | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    validation: Data | None = None,
    features: str | Path | None = None,
    decode: Literal["once", "each-time"] = "once",
    workers: int = 0,
    allow_unreadable: float = 0.01,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> TrainResult:
    """Train what is not frozen on the clips of `data`, as the config's `training` and `seed` say.

    - `start`: a pipeline (trained further, in place), a saved model (its folder, or its name on the Hub), or a config
      as [build][affectgpt.build] takes it, for new weights.
    - `changes`: changes to the config, such as `"training.steps=100"`; of a pipeline only to training and seed.
    - `out`: where the model is saved, whole or not at all; a folder that is new or empty.
    - `run`: the folder of the log and the checkpoints; None: `OUT.run`, or none without `out`.
    - `resume`: continue from the newest checkpoint of the run. A finished run is recognised: its result is returned.
    - `validation`: clips to measure the loss on, never trained on.
    - `features`: a folder that [encode][affectgpt.encode] wrote: its features take the place of frozen encoders.
    - `decode`: decode "once" and keep the clips in memory, or "each-time" a clip is trained on.
    - `workers`: processes that read clips; 0: this process.
    - `allow_unreadable`: the share of the clips that may be left out because they cannot be read.
    - `allow_pickle`: let the encoders of a saved model read pickled weights (with `weights_only=True`).

    With a run folder Ctrl-C ends the step, writes a checkpoint and raises RunError; without one it raises
    KeyboardInterrupt, and nothing is written. The pipeline ends in evaluation mode, on the device that it was on, with
    the weights of the lowest loss on `validation`, or else with the last ones.

    Raises ConfigError (settings, places inside one another, another run's folder), DataError (no clip, no answer, too
    many unreadable), CheckpointError (`out` is taken, a checkpoint does not fit), RunError (a loss that is not finite,
    the disk).
    """
    out, run, features = optional_path(out, "out"), optional_path(run, "run"), optional_path(features, "features")
    check_workers(workers)
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    if decode not in ("once", "each-time"):
        raise ConfigError("unknown way to decode", where="decode", found=repr(decode), expected="once or each-time")
    from affectgpt.api.start import starting_point
    from affectgpt.training.run import HELD_OUT, TRAINED, RunSettings, TrainingRun
    from affectgpt.training.run_folder import RunFolder

    run = Path(f"{out}.run") if run is None and out is not None else run
    former = RunFolder(run).settings() if resume and run is not None else None
    point = starting_point(start, changes, catalog, allow_pickle=allow_pickle, former=former)
    settings = RunSettings(
        out=out,
        run=run,
        resume=resume,
        features=features,
        decode=decode,
        workers=workers,
        allow_unreadable=allow_unreadable,
    )
    settings.check(point)
    clips = {TRAINED: read_data(data, "data")}
    if validation is not None:
        clips[HELD_OUT] = read_data(validation, "validation")
    config = point.plan.config
    with progress_callback(progress) as on_progress:
        training = TrainingRun(point, clips, settings, on_progress)
        finished = training.find_finished()
        if finished is not None:
            return finished
        result = training.train(lambda: call_hooks(catalog, "affectgpt_before_run", command="train", config=config))
    if result.is_main_process:
        call_hooks(catalog, "affectgpt_after_run", command="train", config=config, result=result.to_dict())
    return result


def encode(
    start: Start,
    data: str | Path | Sequence[Example],
    out: str | Path,
    *changes: str,
    encoders: Sequence[str] | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    allow_unreadable: float = 0.01,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Encoded:
    """Run frozen encoders once over all clips of `data` and store their tokens in the folder `out`.

    `train(..., features=out)` reads them in place of the encoders. `start` and `changes` are as in [train][]; of a
    saved model the encoders may also have been trained, and the config is not changed. `encoders` are the names of
    those that run (None: all), `dtype` is that of the stored tokens. Only clips that `out` lacks are encoded, so a run
    that was stopped is continued by the same call.

    Raises ConfigError when an encoder is trained or does not exist, DataError when `out` holds something else or was
    begun with other settings, RunError when more than the share `allow_unreadable` of the clips cannot be read.
    """
    from affectgpt.data.feature_cache.settings import check_folder
    from affectgpt.training.random_state import preserve_random_state

    out = path_of(out, "out")
    check_counts(batch_size, workers)
    check_folder(out)
    check_dtype(dtype)
    names = [encoders] if isinstance(encoders, str) else encoders
    is_list = isinstance(names, Sequence) and bool(names) and all(isinstance(name, str) for name in names)
    if names is not None and not is_list:
        raise ConfigError(
            "these are no names of encoders",
            where="encoders",
            found=short_repr(encoders),
            expected="a list of names, or None for all",
        )
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    examples = read_data(data, "data")
    if any(not isinstance(example, Example) for example in examples):
        raise ConfigError("only clips that are files can be encoded", where="data", expected="a list of Example")
    with progress_callback(progress) as on_progress:
        on_progress("loading the encoders", 0, None)
        location = choose_device(device)
        with preserve_random_state():
            frozen = _frozen_encoders(start, changes, catalog, names, allow_pickle)
        on_progress("loading the encoders", 1, 1)
        from affectgpt.data.feature_cache.writer import encode as write_features

        config = frozen.plan.config
        call_hooks(catalog, "affectgpt_before_run", command="encode", config=config)
        encoded = write_features(
            frozen,
            examples,  # type: ignore[arg-type]
            out,
            dtype=dtype,
            batch_size=batch_size,
            workers=workers,
            device=location,
            progress=on_progress,
        )
    row = {
        "cache": str(out),
        "encoders": list(encoded.encoders),
        "clips": encoded.clips,
        "new": encoded.new,
        "unreadable": [clip.name for clip in encoded.broken],
    }
    call_hooks(catalog, "affectgpt_after_run", command="encode", config=config, result=row)
    encoded.check_broken_share(allow_unreadable)
    return encoded


def _frozen_encoders(
    start: Start, changes: Sequence[str], catalog: Catalog, names: Sequence[str] | None, allow_pickle: bool
) -> FrozenEncoders:
    from affectgpt.api.start import find_saved_model, plan_config
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.data.feature_cache.fixed_encoders import built_encoders, frozen_encoders, saved_encoders

    folder = find_saved_model(start)
    if changes and (folder is not None or isinstance(start, Pipeline)):
        raise ConfigError(
            "changes are to a config, not to a model",
            where="changes",
            found=changes[0],
            hint="leave them out, or start from the config",
        )
    if isinstance(start, Pipeline):
        return built_encoders(start, names)
    if folder is not None:
        return saved_encoders(folder, catalog, names, allow_pickle=allow_pickle)
    return frozen_encoders(plan_config(start, changes, catalog), catalog, names)


def call_hooks(catalog: Catalog, hook: str, **arguments: object) -> None:
    """Call a hook of every plugin; one that fails costs a warning, not the work."""
    for broken in catalog.call_hook(hook, **arguments):
        warnings.warn(f"hook {broken.name} of {broken.origin}: {broken.cause}", stacklevel=3)
