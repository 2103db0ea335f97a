"""`affectgpt describe` as a function: media files and a model's name in, rows out as they are finished."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.api.model_names import model_folder
from affectgpt.api.models import load
from affectgpt.api.resolve import Plugins, Progress, catalog_for, path_of, progress_callback
from affectgpt.api.training import call_hooks
from affectgpt.core.description import Description
from affectgpt.registry.errors import ConfigError, MediaError
from affectgpt.registry.messages import short_repr

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline


def find_media_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files among `paths`, and the media files directly in each folder, sorted by name.

    Raises ConfigError for anything but paths, MediaError when a path does not exist or a folder holds no media file.
    """
    if isinstance(paths, str | PathLike):
        paths = [paths]
    if not isinstance(paths, Iterable):
        raise ConfigError("these are no paths", where="paths", found=short_repr(paths), expected="a list of paths")
    files = [path_of(path, "paths") for path in paths]
    for path in files:
        if not path.exists():
            raise MediaError("there is no such file", where=str(path), expected="a media file or a folder")
    from affectgpt.serving.clip_arguments import media_files

    return media_files(files)


def describe_files(
    model: str | Path,
    files: Sequence[Path],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int | None = None,
    workers: int = 0,
    shares: bool = True,
    pieces: bool = False,
    device: str | None = None,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> Generator[tuple[int, str | Description]]:
    """Load a model and describe files in order: pairs of a file's index and its [Description][affectgpt.Description].

    With `pieces` also the pieces of each text while it is written, as [Pipeline.stream][affectgpt.Pipeline.stream].
    `batch_size` is by default 8, with `pieces` 1. Without `shares` it is not measured how much each modality counted.
    The hooks `affectgpt_before_run` and `affectgpt_after_run` of the plugins are called. Raises what
    [load][affectgpt.load] and [Pipeline.describe][affectgpt.Pipeline.describe] raise; a file that cannot be read is a
    row with its `error`.
    """
    from affectgpt.serving.clip_arguments import check_texts

    check_texts(subtitle, question)
    catalog = catalog_for(plugins)
    # Before the progress starts: a model that is not found is one error and nothing else.
    folder = model_folder(model)
    with progress_callback(progress) as report:
        report("loading the model", 0, None)
        pipeline = load(folder, plugins=catalog, device=device, allow_pickle=allow_pickle)
        report("loading the model", 1, 1)
        config = pipeline.plan.config
        call_hooks(catalog, "affectgpt_before_run", command="describe", config=config)
        # A single file is read in this process: a worker would have nothing to read ahead.
        workers = workers if len(files) > 1 else 0
        events = _events(
            pipeline, files, subtitle, question, batch_size or (1 if pieces else 8), workers, shares, pieces
        )
        rows = []
        with closing(events):
            for index, event in events:
                if isinstance(event, Description):
                    rows.append(asdict(event))
                    report("describing", len(rows), len(files))
                yield index, event
        call_hooks(catalog, "affectgpt_after_run", command="describe", config=config, result=rows)


def _events(
    pipeline: Pipeline,
    files: Sequence[Path],
    subtitle: str | None,
    question: str | None,
    batch_size: int,
    workers: int,
    shares: bool,
    pieces: bool,
) -> Generator[tuple[int, str | Description]]:
    from affectgpt.serving.describe import describe_each

    if pieces:
        yield from pipeline.stream(
            files, subtitle=subtitle, question=question, batch_size=batch_size, workers=workers, shares=shares
        )
        return
    rows = describe_each(
        pipeline,
        files,
        subtitle=subtitle,
        question=question,
        batch_size=batch_size,
        workers=workers,
        shares=shares,
    )
    with closing(rows):
        yield from enumerate(rows)
