"""Descriptions that a language model on a vLLM server writes, and prompts for a server elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.api.describe_run import find_media_files
from affectgpt.api.model_names import model_folder
from affectgpt.api.resolve import (
    Plugins,
    Progress,
    catalog_for,
    check_text,
    choose_device,
    optional_path,
    path_of,
    progress_callback,
)
from affectgpt.serving.clip_arguments import check_counts, check_texts

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.registry.catalog import Catalog
    from affectgpt.serving.vllm_describe import ExportedPrompt as ExportedPrompt
    from affectgpt.serving.vllm_describe import ServedDescription as ServedDescription
    from affectgpt.serving.vllm_run import ServerRun as ServerRun
    from affectgpt.workers.progress import OnProgress
else:
    _MODULE_OF = {
        "ExportedPrompt": "affectgpt.serving.vllm_describe",
        "ServedDescription": "affectgpt.serving.vllm_describe",
        "ServerRun": "affectgpt.serving.vllm_run",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULE_OF[name]), name)


def describe_on_server(
    model: str | PathLike[str],
    paths: str | Path | Sequence[str | Path],
    server: str,
    *,
    served_model: str | None = None,
    out: str | PathLike[str] | None = None,
    subtitle: str | None = None,
    question: str | None = None,
    parallel: int = 16,
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> ServerRun[ServedDescription]:
    """Encode media files here and let a vLLM server at the address `server` write the texts.

    Returns a run: iterate over it for the descriptions, in the order of the files in `paths` (files, or folders of
    them). With `out`, a file, each is also a JSON row there, and rows that it holds already are not made again.

    - `model`: the folder of a saved model, "tiny", or a name on the Hub; the server has its language model.
    - `served_model`: the model's or adapter's name there; None when it has only one. A key that the server asks for is
      read from the environment variable VLLM_API_KEY. `parallel` is the number of requests at the same time.

    Raises ConfigError (address, names, device), MediaError when a path does not exist, RunError when the server cannot
    be reached, DataError when `out` was begun with other arguments; while iterating, RunError when the server fails.
    A clip that cannot be read, or that the server refuses, has an `error`.
    """
    check_counts(batch_size, workers)
    check_text(server, "server")
    out = optional_path(out, "out")
    check_texts(subtitle, question)
    files = find_media_files(paths)
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    from affectgpt.serving.vllm_client import VllmServer

    with ExitStack() as stack:
        connection = stack.enter_context(VllmServer(server, model=served_model, parallel=parallel))
        connection.connect()
        on_progress = stack.enter_context(progress_callback(progress))
        location = model_folder(model)
        pipeline = _load(location, catalog, device, allow_pickle, on_progress)
        from affectgpt.serving.vllm_run import serve_files

        return serve_files(
            pipeline,
            location,
            files,
            connection,
            out,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            # A single file is read in this process: a worker would have nothing to read ahead.
            workers=workers if len(files) > 1 else 0,
            on_progress=on_progress,
            stack=stack,
        )


def export_prompts(
    model: str | PathLike[str],
    paths: str | Path | Sequence[str | Path],
    folder: str | PathLike[str],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> ServerRun[ExportedPrompt]:
    """Write the prompts of media files to `folder`, for a vLLM server elsewhere: one safetensors file `[T, D]` each.

    `index.jsonl` names them, `sampling.json` holds what a request says beside one. Returns a run: iterate over it to
    the end. Prompts that `folder` holds already are not made again. Arguments and errors as [describe_on_server][].
    """
    check_counts(batch_size, workers)
    folder = path_of(folder, "folder")
    check_texts(subtitle, question)
    files = find_media_files(paths)
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    with ExitStack() as stack:
        on_progress = stack.enter_context(progress_callback(progress))
        location = model_folder(model)
        pipeline = _load(location, catalog, device, allow_pickle, on_progress)
        from affectgpt.serving.vllm_run import export_files

        return export_files(
            pipeline,
            location,
            files,
            folder,
            subtitle=subtitle,
            question=question,
            batch_size=batch_size,
            workers=workers if len(files) > 1 else 0,
            on_progress=on_progress,
            stack=stack,
        )


def _load(folder: Path, catalog: Catalog, device: str | None, allow_pickle: bool, on_progress: OnProgress) -> Pipeline:
    """The part of a saved model that writes prompts, on its device."""
    on_progress("loading the model", 0, None)
    chosen = choose_device(device)
    from affectgpt.serving.prompt_embeds import load_for_prompts
    from affectgpt.serving.vllm_request import check_servable

    pipeline = load_for_prompts(folder, catalog, allow_pickle=allow_pickle)
    check_servable(pipeline.plan.config)
    on_progress("loading the model", 1, 1)
    return pipeline.to(chosen)
