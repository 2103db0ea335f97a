"""Describe clips: read, prepare, generate in batches, and measure the share of each modality."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice

import torch

from affectgpt.core.batch import collate
from affectgpt.core.batched_answers import AnswerWithShares, answer_window, subtitle_notes, windows
from affectgpt.core.describing import OneClip
from affectgpt.core.description import Description
from affectgpt.core.generation import Answer, check_stream
from affectgpt.core.influence import influence
from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import CheckpointError, MediaError
from affectgpt.serving.clip_arguments import check_counts, check_texts, read_argument
from affectgpt.serving.opened_files import BrokenFile, OpenedFile, opened_files
from affectgpt.workers.progress import Progress, progress_callback


def describe(
    pipeline: Pipeline,
    what: OneClip | Iterable[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    shares: bool = True,
    progress: Progress = None,
) -> Description | list[Description]:
    """See [Pipeline.describe][]."""
    clips, is_one = read_argument(what)
    check_texts(subtitle, question)
    check_counts(batch_size, workers)
    if is_one:
        return _describe_one(pipeline, clips[0], subtitle, question, shares)
    rows = describe_each(
        pipeline,
        clips,
        subtitle=subtitle,
        question=question,
        batch_size=batch_size,
        workers=workers,
        shares=shares,
    )
    descriptions = []
    with progress_callback(progress) as report, closing(rows):
        for row in rows:
            descriptions.append(row)
            report("describing", len(descriptions), len(clips))
    return descriptions


def _describe_one(
    pipeline: Pipeline, clip: OneClip, subtitle: str | None, question: str | None, shares: bool
) -> Description:
    check_question(pipeline, question)
    # In this process: there is nothing to prefetch.
    (opened,) = opened_files([clip], pipeline.prepare_or_raise, subtitle, 0)
    if isinstance(opened, BrokenFile) and opened.is_absent:
        return _error_row(opened)
    if isinstance(opened, BrokenFile):
        raise MediaError.from_problems(opened.problems)
    (row,) = _describe_opened(pipeline, _yield_from([opened]), question, 1, shares)
    return row


def _yield_from(opened: Iterable[OpenedFile | BrokenFile]) -> Generator[OpenedFile | BrokenFile]:
    yield from opened


def check_question(pipeline: Pipeline, question: str | None) -> None:
    """Raise ConfigError when the question, the config's for None, does not fit into the LLM's context."""
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)


def describe_each(
    pipeline: Pipeline,
    clips: Sequence[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
    shares: bool = True,
) -> Generator[Description]:
    """Describe clips in order, `batch_size` at a time; `workers` processes prefetch some batches.

    A clip that cannot be read, or that kills its worker, gives a row with an error. Rows come when their window of
    clips is done (see [affectgpt.core.batched_answers][]); at most a few windows are in memory.

    Raises ConfigError, before a file is opened, when the question is too long for the LLM.
    """
    check_question(pipeline, question)
    return _describe_opened(
        pipeline, opened_files(clips, pipeline.prepare_or_raise, subtitle, workers), question, batch_size, shares
    )


def _describe_opened(
    pipeline: Pipeline,
    files: Generator[OpenedFile | BrokenFile],
    question: str | None,
    batch_size: int,
    shares: bool,
) -> Generator[Description]:
    with closing(files):
        for window in windows((_with_readable_words(pipeline, file) for file in files), batch_size):
            clips = [clip for clip in window if isinstance(clip, OpenedFile)]
            start = time.perf_counter()
            with _evaluation_mode(pipeline):
                answers = iter(answer_window(pipeline, clips, batch_size, question, shares=shares))
            seconds = (time.perf_counter() - start) / max(1, len(clips))
            for clip in window:
                yield _row(pipeline, clip, next(answers), seconds) if isinstance(clip, OpenedFile) else _error_row(clip)


def stream(
    pipeline: Pipeline,
    what: OneClip | Iterable[OneClip],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 1,
    workers: int = 0,
    shares: bool = True,
) -> Generator[tuple[int, str | Description]]:
    """See [Pipeline.stream][]. The row of a clip that cannot be read has `error`, even when it is the only clip."""
    clips, _ = read_argument(what)
    check_texts(subtitle, question)
    check_counts(batch_size, workers)
    check_question(pipeline, question)
    check_stream(pipeline)
    return _stream_opened(
        pipeline, opened_files(clips, pipeline.prepare_or_raise, subtitle, workers), question, batch_size, shares
    )


def _stream_opened(
    pipeline: Pipeline,
    files: Generator[OpenedFile | BrokenFile],
    question: str | None,
    batch_size: int,
    shares: bool,
) -> Generator[tuple[int, str | Description]]:
    first = 0
    with closing(files):
        while batch := [_with_readable_words(pipeline, file) for file in islice(files, batch_size)]:
            indices = [index for index, clip in enumerate(batch, first) if isinstance(clip, OpenedFile)]
            clips = [clip for clip in batch if isinstance(clip, OpenedFile)]
            start = time.perf_counter()
            answers: dict[int, AnswerWithShares] = {}
            if clips:
                with _evaluation_mode(pipeline):
                    answers = yield from _pieces(pipeline, clips, indices, question, shares)
            seconds = (time.perf_counter() - start) / max(1, len(clips))
            for index, clip in enumerate(batch, first):
                if isinstance(clip, OpenedFile):
                    yield index, _row(pipeline, clip, answers[index], seconds)
                else:
                    yield index, _error_row(clip)
            first += len(batch)


def _with_readable_words(pipeline: Pipeline, file: OpenedFile | BrokenFile) -> OpenedFile | BrokenFile:
    """`file`, or its error where the tokenizer fails on the subtitle: the other clips of its batch go on."""
    if isinstance(file, OpenedFile):
        try:
            pipeline.check_subtitle(file.subtitle)
        except CheckpointError as error:
            return BrokenFile(file.file, error.problems)
    return file


@contextmanager
def _evaluation_mode(pipeline: Pipeline) -> Iterator[None]:
    """Without dropout: a pipeline that a caller trains is in training mode, and is so again afterwards."""
    is_training = pipeline.training
    if is_training:
        pipeline.eval()
    try:
        yield
    finally:
        if is_training:
            pipeline.train()


def _pieces(
    pipeline: Pipeline, clips: Sequence[OpenedFile], indices: Sequence[int], question: str | None, shares: bool
) -> Generator[tuple[int, str | Description], None, dict[int, AnswerWithShares]]:
    batch = collate([clip.media for clip in clips], [clip.subtitle for clip in clips]).to(pipeline.device)
    texts: dict[int, Answer] = {}
    with torch.no_grad():
        encoded = pipeline.encode(batch, one_by_one=True)
    for piece in pipeline.generate_pieces(batch, question, encoded=encoded):
        if piece.text:
            yield indices[piece.row], piece.text
        if piece.answer is not None:
            texts[piece.row] = piece.answer
    written = [texts[row].text for row in range(len(clips))]
    counted = influence(pipeline, batch, written, question, encoded=encoded) if shares else [{} for _ in written]
    return {index: AnswerWithShares(texts[row], counted[row]) for row, index in enumerate(indices)}


def _row(pipeline: Pipeline, clip: OpenedFile, answer_with_shares: AnswerWithShares, seconds: float) -> Description:
    reads_subtitle = any(part.kind == "subtitle" for part in pipeline.plan.parts)
    return Description(
        clip.file,
        answer_with_shares.answer.text,
        clip.subtitle,
        answer_with_shares.counted,
        {name: dict(shares) for name, shares in answer_with_shares.answer.attribution.items()},
        [
            *clip.notes,
            *(["no subtitle"] if reads_subtitle and not clip.subtitle else []),
            *subtitle_notes(pipeline, clip.subtitle),
        ],
        round(clip.seconds + seconds, 3),
    )


def _error_row(file: BrokenFile) -> Description:
    return Description(file.file, error=file.error)
