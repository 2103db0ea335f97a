"""Prompts of clips as embeddings, made without the layers of the language model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from affectgpt._moved import old_names
from affectgpt.core.assembly import assemble
from affectgpt.core.batch import Batch, collate
from affectgpt.core.batched_answers import subtitle_notes
from affectgpt.core.pipeline import Pipeline, Question
from affectgpt.core.saved.config import WEIGHTS
from affectgpt.core.saved.model import load, read_saved, tensors_to_save
from affectgpt.core.saved.tensors import copy_into
from affectgpt.registry.catalog import Catalog
from affectgpt.serving.opened_files import OpenedFile, opened_files

__getattr__ = old_names(__name__)


@dataclass(frozen=True, eq=False)
class ClipPrompt:
    """A clip's prompt: `embeds [T, D]` on the CPU in the LLM's dtype, or None and an `error`.

    `subtitle` is the spoken text; `notes` are remarks about the file.
    """

    file: str
    embeds: Tensor | None = None
    subtitle: str = ""
    notes: list[str] = field(default_factory=list)
    error: str = ""


def load_for_prompts(
    folder: Path, catalog: Catalog, on_node: Callable[[str], None] | None = None, *, allow_pickle: bool = False
) -> Pipeline:
    """Load a saved model for writing prompts: its LLM has only the parts that [LLMConfig.for_prompts][] keeps.

    Such a model cannot answer. Stored tensors of the other parts are not checked. Raises as [load][].
    """
    plan, tensors = read_saved(folder, catalog, allow_pickle=allow_pickle)
    config = plan.llm.config.for_prompts()
    if config is plan.llm.config:
        return load(folder, catalog, on_node, allow_pickle=allow_pickle)
    pipeline = assemble(replace(plan, llm=replace(plan.llm, config=config)), on_node)
    saved_names = tensors_to_save(pipeline)
    needed = {name: tensor for name, tensor in tensors.items() if name in saved_names or not name.startswith("llm.")}
    copy_into(saved_names, needed, str(folder / WEIGHTS))
    return pipeline.eval()


@torch.no_grad()
def prompt_embeds(pipeline: Pipeline, batch: Batch, question: Question = None) -> list[Tensor]:
    """The prompt of every clip of a batch, `[T_i, D]` each, on the CPU in the LLM's dtype.

    These are the embeddings that [Pipeline.generate][] passes to the LLM, without padding. Those of a clip are the same
    in any batch, up to rounding. Only the LLM's tokenizer and embedding table are used.
    """
    tokens = pipeline.fuse(pipeline.encode(batch, one_by_one=True))
    return [file.detach().cpu().contiguous() for file in pipeline.prompts(tokens, batch.subtitles, question)]


def prompts_of_files(
    pipeline: Pipeline,
    files: Sequence[Path],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
) -> Generator[ClipPrompt]:
    """The prompts of files, in order; `workers` processes prefetch the files, `batch_size` are encoded at a time.

    A file that cannot be read, or that kills its worker, has an error. Raises ConfigError, before a file
    is opened, when the question is too long for the LLM.
    """
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)
    return _prompted(pipeline, files, subtitle, question, batch_size, workers)


def _prompted(
    pipeline: Pipeline, files: Sequence[Path], subtitle: str | None, question: str | None, batch_size: int, workers: int
) -> Generator[ClipPrompt]:
    with closing(opened_files(files, pipeline.prepare_or_raise, subtitle, workers)) as opened:
        while batch_of_files := list(islice(opened, batch_size)):
            clips = [file for file in batch_of_files if isinstance(file, OpenedFile)]
            rows: list[Tensor] = []
            if clips:
                batch = collate([clip.media for clip in clips], [clip.subtitle for clip in clips])
                rows = prompt_embeds(pipeline, batch.to(pipeline.device), question)
            rows_of_clips = iter(rows)
            for file in batch_of_files:
                if isinstance(file, OpenedFile):
                    notes = [*file.notes, *subtitle_notes(pipeline, file.subtitle)]
                    yield ClipPrompt(file.file, next(rows_of_clips), file.subtitle, notes)
                else:
                    yield ClipPrompt(file.file, error=file.error)
