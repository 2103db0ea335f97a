"""Frames evenly spaced over time, decoding as little of the file as that takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from av import FFmpegError

from affectgpt.media.container import Header, allowed_pixels, check_pixels, check_seconds, counted, opened
from affectgpt.media.limits import Limits
from affectgpt.media.orientation import picture
from affectgpt.media.packets import Track, demuxed, frames, rate, scan, span
from affectgpt.media.sampling import Spread, chosen, runs
from affectgpt.registry.errors import MediaError

ROUNDS = 8
"""How often other frames are chosen for those that turn out undecodable, before the whole file is decoded."""

Stamp = TypeVar("Stamp", int, Fraction)


@dataclass(frozen=True, eq=False)
class Sampled:
    """`images`: uint8 RGB `[H, W, 3]` each; `times`: seconds from the clip's start; `notes` for the reader."""

    images: list[np.ndarray]
    times: list[float]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class _Shown:
    # One decoded frame, and whether the decoder had to guess parts of it.
    image: np.ndarray
    guessed: bool


def sample(path: Path, header: Header, limits: Limits, count: int, spread: Spread) -> Sampled:
    """Up to `count` frames: see `Clip.frames`. Raises MediaError when not one frame can be decoded."""
    with opened(path, limits) as container:
        stream = container.streams[header.video]
        track = scan(container, [stream], limits, path)[stream.index]
    reader = _Reader(path, header, limits, track)
    found = reader.by_packets(count, spread) or reader.by_frames(count, spread)
    if not found:
        raise MediaError(
            "no frame of the picture can be decoded",
            where=str(path),
            found=f"{counted(track.count, 'packet')}, {len(track.damaged)} of them damaged",
            expected="at least one whole frame",
            hint="play it in a video player; if it does not play there, copy or convert it again",
        )
    origin = header.start if max(found) >= header.start else min(found)
    guessed = sum(shown.guessed for shown in found.values())
    notes = []
    if track.damaged:
        notes.append(f"the picture is damaged: {counted(len(track.damaged), 'packet')} could not be read")
    if guessed:
        notes.append(f"the picture is damaged: parts of {counted(guessed, 'frame')} of {len(found)} are a guess")
    end = float(reader.end - origin)
    if header.duration - end > 0.5:
        notes.append(f"the picture ends at {end:.1f} s of {header.duration:.1f} s")
    return Sampled([found[stamp].image for stamp in found], [float(stamp - origin) for stamp in found], notes)


@dataclass
class _Reader:
    # Both ways of reading return stamp in seconds on the file's clock -> frame, in the order of the stamps.
    path: Path
    header: Header
    limits: Limits
    track: Track
    end: Fraction = Fraction(0)

    def by_packets(self, count: int, spread: Spread) -> dict[Fraction, _Shown]:
        """Choose among the packets' stamps, then decode what the chosen frames need. Empty when that fails."""
        tick = self.track.tick
        if not self.track.complete:
            return {}
        stamps = _from(sorted(self.track.shown), self.header.start / tick)
        images: dict[int, _Shown] = {}
        for _ in range(ROUNDS):
            if not stamps:
                break
            length = span(stamps, self.track.lengths[stamps[-1]])
            self._ends(stamps[0] * tick, length * tick)
            wanted = [stamps[i] for i in chosen(stamps, length, count, spread)]
            images |= self._decode([stamp for stamp in wanted if stamp not in images])
            if not self.track.complete:
                break
            lost = {stamp for stamp in wanted if stamp not in images}
            if not lost:
                return {stamp * tick: images[stamp] for stamp in wanted}
            stamps = [stamp for stamp in stamps if stamp not in lost]
        return {}

    def by_frames(self, count: int, spread: Spread) -> dict[Fraction, _Shown]:
        """Decode the whole file to learn when its frames are shown, then once more to keep the chosen ones.

        For files whose packets carry no stamps, or stamps that the decoded frames do not have.
        """
        known: list[int | None] = []
        with opened(self.path, self.limits) as container:
            stream = self._stream(container)
            known.extend(_stamp(frame) for frame, _ in frames(demuxed(container, stream), self.track.damaged))
            step, tick = 1 / rate(stream), Fraction(stream.time_base)
        stamped = sorted(stamp for stamp in known if stamp is not None)
        # Frames leave the decoder in the order they are shown, also where a container stores no presentation stamps
        # and the frames come with those of the order of decoding: these are sorted, and given out in turn.
        times = [stamp * tick for stamp in stamped] if None not in known else [i * step for i in range(len(known))]
        ordinals = dict(zip(times, range(len(times)), strict=True))
        stamps = _from(sorted(ordinals), self.header.start)
        if not stamps:
            return {}
        length = span(stamps, step if None in known else 0)
        self._ends(stamps[0], length)
        wanted = {ordinals[stamps[i]]: stamps[i] for i in chosen(stamps, length, count, spread)}
        found: dict[Fraction, _Shown] = {}
        with opened(self.path, self.limits) as container:
            stream = self._stream(container)
            for ordinal, (frame, packet) in enumerate(frames(demuxed(container, stream), self.track.damaged)):
                if ordinal in wanted:
                    found[wanted[ordinal]] = self._shown(frame, packet)
                if len(found) == len(wanted):
                    break
        return dict(sorted(found.items()))

    def _ends(self, first: Fraction, length: Fraction) -> None:
        self.end = first + length
        check_seconds(self.path, float(self.end - max(first, self.header.start)), self.limits)

    def _decode(self, wanted: list[int]) -> dict[int, _Shown]:
        ranges = [(self.track.start_of(stamp), self.track.shown[stamp]) for stamp in wanted]
        plan = runs(ranges)
        found = self._decode_runs(wanted, plan)
        # A container that cannot be sought in, or that lands elsewhere, is read from its first packet.
        return self._decode_runs(wanted, [(0, plan[-1][1])]) or {} if found is None else found

    def _decode_runs(self, wanted: list[int], plan: list[tuple[int, int]]) -> dict[int, _Shown] | None:
        found: dict[int, _Shown] = {}
        with opened(self.path, self.limits) as container:
            stream = self._stream(container)
            for first, last in plan:
                mine = {stamp for stamp in wanted if first <= self.track.shown[stamp] <= last}
                packets = self._sought(container, stream, first) if first else demuxed(container, stream)
                if packets is None:
                    return None
                latest, previous = max(mine), None
                for frame, packet in frames(packets, self.track.damaged):
                    if frame.pts in mine:
                        mine.remove(frame.pts)
                        found[frame.pts] = self._shown(frame, packet)
                    if previous is not None and frame.pts is not None and frame.pts <= previous:
                        self.track.complete = False
                        return found
                    previous = frame.pts
                    if not mine or (frame.pts is not None and frame.pts > latest):
                        break
        return found

    def _sought(self, container: Any, stream: Any, first: int) -> Iterator[Any] | None:
        # The packets from position `first` or an earlier one on, or None when the seek does not lead there.
        stamp = self.track.stamps[bisect_left(self.track.keyframes, first)]
        try:
            container.seek(stamp, stream=stream, backward=True)
            packets = demuxed(container, stream)
            head = next(packets)
        except (FFmpegError, StopIteration):
            return None
        if self.track.shown.get(head.pts, first + 1) > first:
            return None
        return _chained(head, packets)

    def _shown(self, frame: Any, packet: Any) -> _Shown:
        check_pixels(self.path, frame.width, frame.height, self.limits)
        return _Shown(picture(frame, packet), frame.is_corrupt)

    def _stream(self, container: Any) -> Any:
        stream = container.streams[self.header.video]
        stream.codec_context.options = {"max_pixels": allowed_pixels(self.limits)}
        # Clips are read by several workers at once; the runs decoded here are short, threads would cost more.
        stream.codec_context.thread_count = 1
        return stream


def _chained(head: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield head
    yield from rest


def _from(stamps: list[Stamp], start: Fraction) -> list[Stamp]:
    # What is stamped before the clip starts is not shown, unless the header lies and nothing is stamped later.
    return stamps[bisect_left(stamps, start) :] or stamps


def _stamp(frame: Any) -> int | None:
    stamp: int | None = frame.pts if frame.pts is not None else frame.dts
    return stamp
