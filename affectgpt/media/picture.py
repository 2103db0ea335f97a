"""Frames evenly spaced over time, decoding as little of the file as that takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av import FFmpegError
from av.sidedata.sidedata import Type as SideDataType

from affectgpt.media.container import Header, check_seconds, opened
from affectgpt.media.limits import Limits
from affectgpt.media.packets import Track, rate, scan, span
from affectgpt.media.sampling import choose, runs, targets
from affectgpt.registry.errors import MediaError

ROUNDS = 8
"""How often other frames are chosen for those that turn out undecodable, before the whole file is decoded."""

THREADED_PACKETS = 500
"""From how many packets on the decoder gets threads: below, starting them takes longer than they save."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """`images`: uint8 RGB `[H, W, 3]` each; `times`: seconds from the clip's start; `notes` for the reader."""

    images: list[np.ndarray]
    times: list[float]
    notes: list[str]


@dataclass
class _Source:
    path: Path
    header: Header
    limits: Limits
    damaged: int = 0

    @property
    def origin(self) -> Fraction:
        return self.header.start


def sample(path: Path, header: Header, limits: Limits, count: int) -> Sampled:
    """Up to `count` frames: see `Clip.frames`. Raises MediaError when not one frame can be decoded."""
    source = _Source(path, header, limits)
    with opened(path, limits) as container:
        stream = container.streams[header.video]
        tick = Fraction(stream.time_base)
        track = scan(container, [stream], limits, path)[stream.index]
    first = _first_tick(track.shown, header, tick)
    found = _by_packets(source, track, first, count) if track.complete else None
    if found is None:
        found = _by_frames(source, count)
    frames, end = found
    if not frames:
        raise MediaError(
            "no frame of the picture can be decoded",
            where=str(path),
            found=f"{track.count} packets, {source.damaged} of them damaged",
            expected="at least one whole frame",
            hint="play it in a video player; if it does not play there, copy or convert it again",
        )
    origin = max(header.start, min(header.start, min(frames)))
    notes = []
    if source.damaged:
        notes.append(f"the picture is damaged: {source.damaged} packets were skipped")
    lasts = float(end - header.start)
    if header.duration - lasts > 0.5:
        notes.append(f"the picture ends at {lasts:.1f} s of {header.duration:.1f} s")
    stamps = sorted(frames)
    return Sampled([frames[stamp] for stamp in stamps], [float(stamp - origin) for stamp in stamps], notes)
