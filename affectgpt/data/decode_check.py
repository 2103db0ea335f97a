"""What decoding a little of a clip shows: whether it can be used, and what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from affectgpt.data.example import Example
from affectgpt.registry.errors import AffectGPTError, MediaError, Problem

SMALLEST_FACE = 16
"""Pixels a side of a stored face picture; with fewer no expression can be made out."""
LONGEST_FACE = 3
"""Times as long as wide, or as wide as long."""


@dataclass(frozen=True)
class DecodeReport:
    """What decoding one frame and the sound of a clip showed; `problem` is None when all went well."""

    name: str
    seconds: float
    notes: tuple[str, ...]
    problem: Problem | None


def check_decoding(example: Example, *, expect_picture: bool = False) -> DecodeReport:
    """Decode one frame, one stored face and the sound; what cannot be decoded is the `problem`.

    With `pictured` a clip without a picture is one too. Notes tell of a separate sound whose length differs from the
    video's by over 1 s and 20 %, and of stored faces too small or too narrow to show a face.
    """
    from affectgpt.media.clip import SAMPLE_RATE

    seconds = 0.0
    notes: list[str] = []
    try:
        clip = example.open()
        seconds = clip.duration
        if expect_picture and not clip.has_video:
            raise MediaError(
                "the video holds no picture",
                where=str(example.video),
                found="sound only",
                expected="a video",
                hint="get it from its owners again",
            )
        clip.frames(1)
        waveform = clip.waveform()
        if waveform is None and clip.has_audio:
            raise MediaError("no sound could be decoded", where=str(example.sound or example.video))
        if waveform is not None and example.sound is not None and clip.has_video:
            notes += _lengths(len(waveform) / SAMPLE_RATE, seconds)
        if example.faces is not None and (faces := clip.faces(1)) is not None:
            notes += _face(*faces.images[0].shape[:2])
    except AffectGPTError as error:
        return DecodeReport(example.name, seconds, (), error.problems[0])
    return DecodeReport(example.name, seconds, (*clip.notes, *notes), None)


def _lengths(sound: float, video: float) -> Iterator[str]:
    if abs(sound - video) > max(1, 0.2 * max(sound, video)):
        yield "the separate sound and the video differ in length by more than 1 s and 20 %"


def _face(height: int, width: int) -> Iterator[str]:
    shorter, longer = sorted((height, width))
    if shorter < SMALLEST_FACE:
        yield f"stored face pictures with a side of under {SMALLEST_FACE} pixels"
    elif longer > LONGEST_FACE * shorter:
        yield f"stored face pictures with one side over {LONGEST_FACE} times the other"
