"""Clips -> what the language model would read, as embeddings, without the language model's layers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import Batch, collate
from affectgpt.core.pipeline import Pipeline, Question
from affectgpt.core.saved.model import WEIGHTS, load, own_tensors, read_saved
from affectgpt.core.saved.tensors import fill
from affectgpt.registry.catalog import Catalog
from affectgpt.serving.opened_files import OpenedFile, opened_files


@dataclass(frozen=True, eq=False)
class Prompted:
    """A clip's prompt: `embeds [T, D]` on the CPU in the LLM's dtype, or None and an `error`.

    `subtitle` is what was said, `notes` what a reader should know of the file.
    """

    file: str
    embeds: Tensor | None = None
    subtitle: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""


def load_for_prompts(
    folder: Path, catalog: Catalog, on_node: Callable[[str], None] | None = None, *, allow_pickle: bool = False
) -> Pipeline:
    """A saved model that can write prompts and no answers: of its LLM, what [LLMConfig.for_prompts][] leaves.

    Raises as [load][]. Tensors of the LLM that are stored and not needed are not compared with anything.
    """
    plan, tensors = read_saved(folder, catalog, allow_pickle=allow_pickle)
    config = plan.llm.config.for_prompts()
    if config is plan.llm.config:
        return load(folder, catalog, on_node, allow_pickle=allow_pickle)
    pipeline = assemble(replace(plan, llm=replace(plan.llm, config=config)), catalog, on_node)
    own = own_tensors(pipeline)
    needed = {name: tensor for name, tensor in tensors.items() if name in own or not name.startswith("llm.")}
    fill(own, needed, str(folder / WEIGHTS))
    return pipeline.eval()


@torch.no_grad()
def prompt_embeds(pipeline: Pipeline, batch: Batch, question: Question = None) -> list[Tensor]:
    """The prompt of every clip of a batch, `[T_i, D]` each, on the CPU in the LLM's dtype.

    The very embeddings that [Pipeline.generate][] gives to the LLM: without padding, and the same for a clip in any
    batch up to rounding. Only the LLM's tokenizer and embedding table are used.
    """
    tokens = pipeline.fuse(pipeline.encode(batch, alone=True))
    return [each.detach().cpu().contiguous() for each in pipeline.prompts(tokens, batch.subtitles, question)]


def prompted(
    pipeline: Pipeline,
    files: Sequence[Path],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
) -> Generator[Prompted]:
    """The prompts of files, in order; `batch_size` are encoded at a time, and read ahead by `workers` processes.

    A file that cannot be read, or that kills the process that reads it, has an error. Raises ConfigError, before a file
    is opened, when the question is too long for the LLM.
    """
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)
    return _prompted(pipeline, files, subtitle, question, batch_size, workers)


def _prompted(
    pipeline: Pipeline, files: Sequence[Path], subtitle: str | None, question: str | None, batch_size: int, workers: int
) -> Generator[Prompted]:
    with closing(opened_files(files, pipeline.prepare, subtitle, workers)) as opened:
        while some := list(islice(opened, batch_size)):
            clips = [each for each in some if isinstance(each, OpenedFile)]
            rows: list[Tensor] = []
            if clips:
                batch = collate([clip.media for clip in clips], [clip.subtitle for clip in clips])
                rows = prompt_embeds(pipeline, batch.to(pipeline.device), question)
            found = iter(rows)
            for each in some:
                if isinstance(each, OpenedFile):
                    yield Prompted(each.file, next(found), each.subtitle, each.notes)
                else:
                    yield Prompted(each.file, error=each.error)
