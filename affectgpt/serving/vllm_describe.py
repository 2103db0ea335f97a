"""Describe files with a language model on a vLLM server, or write their prompts to files."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save

from affectgpt.core.description import Description
from affectgpt.core.generation import generation_settings
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.stop_text import cut_at_stop
from affectgpt.files.atomic import write_atomic, write_bytes_atomic
from affectgpt.files.row_file import RowFile
from affectgpt.registry.errors import Problem, RunError
from affectgpt.serving.prompt_embeds import ClipPrompt
from affectgpt.serving.vllm_client import Reply, VllmServer
from affectgpt.serving.vllm_request import request_body, sampling

TENSOR = "prompt_embeds"


@dataclass(frozen=True, repr=False)
class ServedDescription(Description):
    """A [Description][affectgpt.Description] that a server wrote; `tokens` is its length (None: unknown)."""

    tokens: int | None = None

    def row(self) -> dict[str, object]:
        """The row of a file of texts: `id`, `text`, `subtitle`, `tokens`, `notes`, and an `error` if any."""
        row: dict[str, object] = {
            "id": self.file,
            "text": self.text,
            "subtitle": self.subtitle,
            "tokens": self.tokens,
            "notes": self.notes,
        }
        return row | ({"error": self.error} if self.error else {})


@dataclass(frozen=True, repr=False)
class ExportedPrompt(Description):
    """A clip whose prompt was written to a file: `embeds` is its name, `tokens` its length (None with an error)."""

    embeds: str = ""
    tokens: int | None = None

    def row(self) -> dict[str, object]:
        """The row of the index: `id`, `subtitle`, `notes`, and `embeds` with `tokens`, or an `error`."""
        row: dict[str, object] = {"id": self.file, "subtitle": self.subtitle, "notes": self.notes}
        return row | ({"error": self.error} if self.error else {"embeds": self.embeds, "tokens": self.tokens})


def describe_on_server(
    pipeline: Pipeline, clips: Iterable[ClipPrompt], server: VllmServer
) -> Generator[ServedDescription]:
    """One description per clip, in order.

    A clip that could not be read, or whose prompt the server refuses, has an error and no text. Raises RunError when
    the server fails.
    """
    config = pipeline.plan.config
    settings, ends = generation_settings(config), pipeline.llm.end_ids()
    build_body: Callable[..., dict[str, Any]] = partial(
        request_body, settings=settings, model=server.model, end_ids=ends, seed=config.seed
    )

    def request(clip: ClipPrompt) -> tuple[ClipPrompt, Callable[[], dict[str, Any]] | None, int]:
        if clip.embeds is None:
            return clip, None, 0
        return clip, partial(build_body, clip.embeds), len(clip.embeds)

    for clip, reply in server.replies(map(request, clips)):
        yield _description(clip, reply or Reply(refused=clip.error), settings.stop)


def _description(clip: ClipPrompt, reply: Reply, stop: list[str]) -> ServedDescription:
    refused = Problem("there is no text from the server", clip.file, reply.refused)
    error = clip.error or (str(refused) if reply.refused else "")
    cut = ["the text is as long as it may be, and ends there"] if reply.cut else []
    return ServedDescription(
        clip.file,
        cut_at_stop(reply.text, stop),
        clip.subtitle,
        notes=[*clip.notes, *cut],
        error=error,
        tokens=reply.tokens,
    )


def export_prompts(
    pipeline: Pipeline, clips: Iterable[ClipPrompt], folder: Path, rows: RowFile
) -> Generator[ExportedPrompt]:
    """Write the prompt of each clip to `folder` and a row about it to `rows`. Yields the clips as they are written.

    A prompt is a safetensors file with the tensor `prompt_embeds [T, D]`; its row names the file (`embeds`).
    `sampling.json` holds the other fields of a request. Raises RunError when a file cannot be written.
    """
    try:
        config = pipeline.plan.config
        options = sampling(generation_settings(config), pipeline.llm.end_ids(), config.seed)
        write_atomic(folder / "sampling.json", json.dumps(options, indent=1, ensure_ascii=False) + "\n")
        for clip in clips:
            exported = ExportedPrompt(clip.file, subtitle=clip.subtitle, notes=clip.notes, error=clip.error)
            if clip.embeds is not None:
                # Numbered: the name of a clip may not be valid as a file name.
                name = f"{rows.done:06d}.safetensors"
                write_bytes_atomic(folder / name, save({TENSOR: clip.embeds}))
                exported = replace(exported, embeds=name, tokens=len(clip.embeds))
            rows.append([exported.row()])
            yield exported
    except OSError as error:
        raise RunError(
            "the prompts cannot be written",
            where=str(folder),
            found=error.strerror or str(error),
            hint="make room, then run the same command again: it goes on where it stopped",
        ) from None
