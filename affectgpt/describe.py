"""Files -> descriptions: open, prepare, generate in batches, and say how much each modality counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.core.batch import collate
from affectgpt.core.influence import influence
from affectgpt.core.pipeline import Pipeline
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import AffectGPTError, MediaError

MEDIA_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".wmv", ".3gp",
    ".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".jpg", ".jpeg", ".png",
})  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What was found out about one file.

    `counted` is the share of each modality in the answer (None: the clip lacks it), `fusion` what the fusers
    themselves report, `notes` what was missing or done instead, `error` why there is no text.
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
    """Files as given, and the media files directly in each folder, sorted by name.

    Raises MediaError when a path does not exist or a folder holds no media file.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in MEDIA_SUFFIXES and each.is_file())
        if not inside:
            raise MediaError("there is no media file in this folder", where=str(path),
                             expected=f"files ending in {' '.join(sorted(MEDIA_SUFFIXES))}")  # fmt: skip
        files += inside
    return files


def describe(
    pipeline: Pipeline, files: Sequence[Path], *,
    subtitle: str | None = None, question: str | None = None, batch_size: int = 8,
) -> Iterator[Description]:  # fmt: skip
    """Describe files in order, `batch_size` at a time. One that cannot be read gives a row with its error.

    Raises ConfigError, before a file is opened, when the question is too long for the LLM.
    """
    pipeline.check_question(pipeline.plan.config.prompt.question if question is None else question)
    for start in range(0, len(files), batch_size):
        began = time.perf_counter()
        rows: list[Description | None] = []
        clips, samples = [], []
        for path in files[start : start + batch_size]:
            try:
                clip = Clip.open(path, subtitle=subtitle)
                samples.append(pipeline.prepare(clip))
                clips.append(clip)
                rows.append(None)
            except AffectGPTError as error:
                rows.append(Description(str(path), error=str(error)))
        if clips:
            batch = collate(samples, [clip.subtitle for clip in clips]).to(pipeline.device)
            answers = pipeline.generate(batch, question)
            shares = influence(pipeline, batch, [answer.text for answer in answers], question)
            took = (time.perf_counter() - began) / len(clips)
            described = iter([
                Description(
                    str(clip.path), answer.text, clip.subtitle, share, {name: dict(each) for name, each in
                    answer.attribution.items()}, [*clip.notes, *_absent(share, clip)], round(took, 3),
                )
                for clip, answer, share in zip(clips, answers, shares, strict=True)
            ])  # fmt: skip
            rows = [row if row is not None else next(described) for row in rows]
        yield from (row for row in rows if row is not None)


def _absent(shares: dict[str, float | None], clip: Clip) -> list[str]:
    return ["no subtitle"] if shares.get("subtitle", 0.0) is None and not clip.subtitle else []
