"""Describe many files with a vLLM server, or write their prompts to a folder; a killed run can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from affectgpt.core.pipeline import Pipeline
from affectgpt.files.row_file import RowFile, open_row_file
from affectgpt.serving.prompt_embeds import prompts_of_files
from affectgpt.serving.vllm_client import VllmServer
from affectgpt.serving.vllm_describe import ExportedPrompt, ServedDescription, describe_on_server, export_prompts
from affectgpt.unibench.predictions import model_name
from affectgpt.workers.progress import OnProgress

_LOG = logging.getLogger("affectgpt")
Row = TypeVar("Row", ServedDescription, ExportedPrompt)


class ServerRun(Generic[Row]):
    """An iterator over the clips of a run as they are finished; iterate to the end, or close it.

    `files` are all files of the run. Those that already have a row in the output file are skipped.
    """

    def __init__(
        self,
        files: Sequence[Path],
        clips: Generator[Row],
        rows: RowFile | None,
        stack: ExitStack,
        on_progress: Callable[[int], None],
    ) -> None:
        self.files = files
        # The run takes over what the caller's stack would close.
        self._clips: Generator[Row] = clips
        self._rows, self._stack = rows, stack.pop_all()
        self._failed = 0
        self._on_progress = on_progress

    @property
    def failed(self) -> int:
        """How many clips have an error so far, those of a resumed run included."""
        return self._failed if self._rows is None else self._rows.failed

    def __iter__(self) -> Iterator[Row]:
        with self._stack:
            for number, clip in enumerate(self._clips, 1):
                self._failed += bool(clip.error)
                self._on_progress(number)
                yield clip

    def close(self) -> None:
        """Stop, and close the server's connection and the file of rows."""
        self._stack.close()


def serve_files(
    pipeline: Pipeline,
    model: Path,
    files: Sequence[Path],
    server: VllmServer,
    out: Path | None,
    *,
    subtitle: str | None,
    question: str | None,
    batch_size: int,
    workers: int,
    on_progress: OnProgress,
    stack: ExitStack,
) -> ServerRun[ServedDescription]:
    """Describe every file with `server`; the rows go to `out`, if it is not None. The run closes `stack` when it ends.

    Raises ConfigError when the question is too long, DataError when `out` was written with other settings.
    """
    text = _checked_question(pipeline, question)
    rows = None
    if out is not None:
        settings = _settings("affectgpt served texts", pipeline, model, server.model, files, subtitle, text)
        rows = _open_rows(stack, out, settings, files)
    remaining = files[rows.done if rows else 0 :]
    options: dict[str, Any] = {"subtitle": subtitle, "question": question, "batch_size": batch_size, "workers": workers}
    clips = stack.enter_context(closing(prompts_of_files(pipeline, remaining, **options)))

    def described() -> Generator[ServedDescription]:
        with closing(describe_on_server(pipeline, clips, server)) as descriptions:
            for description in descriptions:
                if rows is not None:
                    rows.append([description.row()])
                yield description

    run_clips = stack.enter_context(closing(described()))
    return ServerRun(files, run_clips, rows, stack, lambda done: on_progress("describing", done, len(remaining)))


def export_files(
    pipeline: Pipeline,
    model: Path,
    files: Sequence[Path],
    folder: Path,
    *,
    subtitle: str | None,
    question: str | None,
    batch_size: int,
    workers: int,
    on_progress: OnProgress,
    stack: ExitStack,
) -> ServerRun[ExportedPrompt]:
    """Write the prompt of every file, and an index, to `folder`. Otherwise as [serve_files][]."""
    text = _checked_question(pipeline, question)
    settings = _settings("affectgpt prompts", pipeline, model, None, files, subtitle, text)
    rows = _open_rows(stack, folder / "index.jsonl", settings, files)
    options: dict[str, Any] = {"subtitle": subtitle, "question": question, "batch_size": batch_size, "workers": workers}
    remaining = files[rows.done :]
    clips = stack.enter_context(closing(prompts_of_files(pipeline, remaining, **options)))
    exported = stack.enter_context(closing(export_prompts(pipeline, clips, folder, rows)))
    return ServerRun(files, exported, rows, stack, lambda done: on_progress("encoding", done, len(remaining)))


def _checked_question(pipeline: Pipeline, question: str | None) -> str:
    text = pipeline.plan.config.prompt.question if question is None else question
    # A question that is too long raises before a file is created.
    pipeline.check_question(text)
    return text


def _open_rows(stack: ExitStack, path: Path, settings: dict[str, object], files: Sequence[Path]) -> RowFile:
    rows = stack.enter_context(open_row_file(path, settings, [str(file) for file in files], 1))
    if rows.failed:
        _LOG.info("%d of the %d rows that are there have an error: %s", rows.failed, rows.done, path)
    return rows


def _settings(
    form: str,
    pipeline: Pipeline,
    model: Path,
    served_model: str | None,
    files: Sequence[Path],
    subtitle: str | None,
    question: str,
) -> dict[str, object]:
    config = pipeline.plan.config
    return {
        "format": form,
        "model": model_name(model),
        "served_model": served_model,
        "subtitle": subtitle,
        "question": question,
        "seed": config.seed,
        "clips": len(files),
        "generation": config.generation.model_dump(mode="json"),
        "versions": {name: version(name) for name in ("affectgpt", "torch", "transformers")},
    }
