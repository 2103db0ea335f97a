"""Files -> descriptions: open, prepare, generate in batches, and say how much each modality counted."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from affectgpt.core.batch import collate
from affectgpt.core.batched_answers import Answered, answers, windows
from affectgpt.core.generation import Answer, check_stream
from affectgpt.core.influence import influence
from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import MediaError
from affectgpt.serving.opened_files import BrokenFile, OpenedFile, opened_files

MEDIA_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".flv",
        ".mpg",
        ".mpeg",
        ".ts",
        ".wmv",
        ".3gp",
        ".wav",
        ".mp3",
        ".m4a",
        ".aac",
        ".flac",
        ".ogg",
        ".opus",
        ".jpg",
        ".jpeg",
        ".png",
    }
)


@dataclass(frozen=True)
class Description:
    """What was found out about one file.

    `counted` is the share of each modality in the answer (None: the clip lacks it), `fusion` what the fusers
    themselves report, `notes` what was missing or done instead, `seconds` the time to read it and its share of its
    batch's, `error` why there is no text.
    """

    file: str
    text: str = ""
    subtitle: str = ""
    counted: dict[str, float | None] = field(default_factory=dict)
    fusion: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""


def media_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given, and the media files directly in each folder, sorted by name; also those that cannot be opened,
    such as links to what is not there.

    Raises MediaError when a path does not exist or a folder holds no media file.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = _media_in(path)
        if not inside:
            below = next((each for each in sorted(path.iterdir()) if each.is_dir() and _media_in(each)), None)
            raise MediaError(
                "there is no media file in this folder",
                where=str(path),
                expected=f"files ending in {' '.join(sorted(MEDIA_SUFFIXES))}",
                hint=f"name {below}, which holds some" if below else "",
            )
        files += inside
    return files


def _media_in(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in MEDIA_SUFFIXES and not each.is_dir())


def describe(
    pipeline: Pipeline,
    files: Sequence[Path],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 8,
    workers: int = 0,
) -> Generator[Description]:
    """Describe files in order, `batch_size` at a time, some batches read ahead by `workers` processes.

    A file that cannot be read, or that kills the process that reads it, gives a row with its error. Rows come when
    their window of clips is done (see [affectgpt.core.batched_answers][]); no more than a few windows are in memory.

    Raises ConfigError, before a file is opened, when the question is too long for the LLM.
    """
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)
    return _described(pipeline, opened_files(files, pipeline.prepare, subtitle, workers), question, batch_size)


def _described(
    pipeline: Pipeline, files: Generator[OpenedFile | BrokenFile], question: str | None, batch_size: int
) -> Generator[Description]:
    with closing(files):
        for window in windows(files, batch_size):
            clips = [each for each in window if isinstance(each, OpenedFile)]
            began = time.perf_counter()
            found = iter(answers(pipeline, clips, batch_size, question))
            took = (time.perf_counter() - began) / max(1, len(clips))
            for each in window:
                yield _row(each, next(found), took) if isinstance(each, OpenedFile) else _broken(each)


def stream(
    pipeline: Pipeline,
    files: Sequence[Path],
    *,
    subtitle: str | None = None,
    question: str | None = None,
    batch_size: int = 1,
    workers: int = 0,
) -> Generator[tuple[int, str | Description]]:
    """As [describe][], with the text of each file while it is written: pairs of its index and the next piece of text.

    The pieces of a file, put together, are the text of the [Description][] that ends them. Those of the files of one
    batch come mixed. Raises ConfigError as [describe][], and when the pipeline cannot stream.
    """
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)
    check_stream(pipeline)
    return _streamed(pipeline, opened_files(files, pipeline.prepare, subtitle, workers), question, batch_size)


def _streamed(
    pipeline: Pipeline, files: Generator[OpenedFile | BrokenFile], question: str | None, batch_size: int
) -> Generator[tuple[int, str | Description]]:
    first = 0
    with closing(files):
        while some := list(islice(files, batch_size)):
            places = [place for place, each in enumerate(some, first) if isinstance(each, OpenedFile)]
            clips = [each for each in some if isinstance(each, OpenedFile)]
            began = time.perf_counter()
            said: dict[int, Answered] = {}
            if clips:
                said = yield from _pieces(pipeline, clips, places, question)
            took = (time.perf_counter() - began) / max(1, len(clips))
            for place, each in enumerate(some, first):
                yield place, _row(each, said[place], took) if isinstance(each, OpenedFile) else _broken(each)
            first += len(some)


def _pieces(
    pipeline: Pipeline, clips: Sequence[OpenedFile], places: Sequence[int], question: str | None
) -> Generator[tuple[int, str | Description], None, dict[int, Answered]]:
    batch = collate([clip.media for clip in clips], [clip.subtitle for clip in clips]).to(pipeline.device)
    said: dict[int, Answer] = {}
    for piece in pipeline.stream(batch, question):
        if piece.text:
            yield places[piece.row], piece.text
        if piece.answer is not None:
            said[piece.row] = piece.answer
    shares = influence(pipeline, batch, [said[row].text for row in range(len(clips))], question)
    return {place: Answered(said[row], shares[row]) for row, place in enumerate(places)}


def _row(clip: OpenedFile, found: Answered, seconds: float) -> Description:
    absent = found.counted.get("subtitle", 0.0) is None and not clip.subtitle
    return Description(
        clip.file,
        found.answer.text,
        clip.subtitle,
        found.counted,
        {name: dict(each) for name, each in found.answer.attribution.items()},
        [*clip.notes, *(["no subtitle"] if absent else [])],
        round(clip.seconds + seconds, 3),
    )


def _broken(file: BrokenFile) -> Description:
    return Description(file.file, error=file.error)
