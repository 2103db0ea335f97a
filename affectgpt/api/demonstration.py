"""The demonstration: a small model trained on synthetic clips, beside variants that lack a modality."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.api.resolve import (
    Plugins,
    Progress,
    catalog_for,
    check_workers,
    optional_path,
    path_of,
    progress_callback,
)

if TYPE_CHECKING:
    from affectgpt.demo.run import Demo as Demo
else:

    def __getattr__(name: str) -> object:
        if name != "Demo":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("affectgpt.demo.run").Demo


def run_demo(
    out: str | Path | None = None,
    *changes: str,
    train: int = 640,
    test: int = 128,
    seed: int = 0,
    workers: int = 0,
    clips: Sequence[str | Path] = (),
    plugins: Plugins = (),
    progress: Progress = None,
) -> Demo:
    """Write synthetic clips, train the small model and three variants that lack a part, and score them.

    `train` and `test` are numbers of clips, `seed` is that of the clips and of the training. The clips and the full
    model are kept in `out`, if there is one; the model describes one held-out clip, and each of `clips`. `changes` to
    the config, such as "training.steps=100", hold for all four models.

    Raises ConfigError for a wrong argument or change, MediaError when one of `clips` does not exist, CheckpointError
    when `out` holds a model or cannot be made, DataError when it holds other clips.
    """
    from affectgpt.demo.run import run_demo as run

    check_workers(workers)
    out, paths = optional_path(out, "out"), [path_of(clip, "clips") for clip in clips]
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    with progress_callback(progress) as on_progress:
        return run(
            out,
            train=train,
            test=test,
            seed=seed,
            workers=workers,
            clips=paths,
            catalog=catalog,
            progress=on_progress,
            changes=changes,
        )
