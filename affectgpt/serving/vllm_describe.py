"""Files -> texts written by a language model on a server, or prompts in files for a server elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from affectgpt.core.generation import settings_of
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.stopping import finished
from affectgpt.files.atomic import write_whole
from affectgpt.files.row_file import RowFile
from affectgpt.registry.errors import Problem, RunError
from affectgpt.serving.prompt_embeds import Prompted
from affectgpt.serving.vllm_client import Reply, Server
from affectgpt.serving.vllm_request import request_body, sampling

TENSOR = "prompt_embeds"


def served(pipeline: Pipeline, clips: Iterable[Prompted], server: Server) -> Generator[dict[str, Any]]:
    """One row per clip, in order: `id` (the file), `text`, `subtitle`, `tokens`, `notes`, and an `error` where one is.

    A clip that could not be read, or whose prompt the server refuses, has an error and no text. Raises RunError when
    the server fails.
    """
    config = pipeline.plan.config
    settings, ends = settings_of(config), pipeline.llm.end_ids()
    make: Callable[..., dict[str, Any]] = partial(
        request_body, settings=settings, model=server.model, end_ids=ends, seed=config.seed
    )

    def request(clip: Prompted) -> tuple[Prompted, Callable[[], dict[str, Any]] | None, int]:
        if clip.embeds is None:
            return clip, None, 0
        return clip, partial(make, clip.embeds), len(clip.embeds)

    for clip, reply in server.replies(map(request, clips)):
        yield _row(clip, reply or Reply(refused=clip.error), settings.stop)


def _row(clip: Prompted, reply: Reply, stop: list[str]) -> dict[str, Any]:
    refused = Problem("there is no text from the server", clip.file, reply.refused)
    error = clip.error or (str(refused) if reply.refused else "")
    cut = ["the text is as long as it may be, and ends there"] if reply.cut else []
    row = {
        "id": clip.file,
        "text": finished(reply.text, stop),
        "subtitle": clip.subtitle,
        "tokens": reply.tokens,
        "notes": [*clip.notes, *cut],
    }
    return row | ({"error": error} if error else {})


def export(pipeline: Pipeline, clips: Iterable[Prompted], folder: Path, rows: RowFile) -> Generator[dict[str, Any]]:
    """Write each clip's prompt to `folder` and a row about it to `rows`; gives the rows as they are written.

    A prompt is a safetensors file with the tensor `prompt_embeds [T, D]`; its row names it (`embeds`). `sampling.json`
    holds what a request says beside it. Raises RunError when the disk refuses.
    """
    try:
        config = pipeline.plan.config
        said = sampling(settings_of(config), pipeline.llm.end_ids(), config.seed)
        write_whole(folder / "sampling.json", json.dumps(said, indent=1, ensure_ascii=False) + "\n")
        for clip in clips:
            row: dict[str, Any] = {"id": clip.file, "subtitle": clip.subtitle, "notes": clip.notes}
            if clip.embeds is None:
                row["error"] = clip.error
            else:
                # Numbered: a clip's own name may be no name for a file.
                row["embeds"] = f"{rows.done:06d}.safetensors"
                row["tokens"] = len(clip.embeds)
                part = folder / f".{row['embeds']}.part"
                save_file({TENSOR: clip.embeds}, part)
                part.chmod(0o644)
                os.replace(part, folder / row["embeds"])
            rows.append([row])
            yield row
    except OSError as error:
        raise RunError(
            "the prompts cannot be written",
            where=str(folder),
            found=error.strerror or str(error),
            hint="make room, then run the same command again: it goes on where it stopped",
        ) from None
