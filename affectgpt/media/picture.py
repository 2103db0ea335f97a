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

from affectgpt.media.container import Header, allowed_pixels, check_pixels, check_seconds, open_container, pluralize
from affectgpt.media.display import picture
from affectgpt.media.edit_list import in_pause
from affectgpt.media.limits import Limits
from affectgpt.media.packets import Track, demuxed, frames, frames_duration, rate, read_packets
from affectgpt.media.sampling import Spread, merge_ranges, sample_indices
from affectgpt.registry.errors import MediaError

ROUNDS = 8
"""How often other frames are chosen for those that turn out undecodable, before the whole file is decoded."""

Stamp = TypeVar("Stamp", int, Fraction)


@dataclass(frozen=True, eq=False)
class SampledFrames:
    """`images`: uint8 RGB `[H, W, 3]` each; `times`: seconds from the clip's start; `notes` for the reader."""

    images: list[np.ndarray]
    times: list[float]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class _DecodedFrame:
    # One decoded frame, whether the decoder had to guess parts of it, and what a reader should know.
    image: np.ndarray
    guessed: bool
    notes: list[str]


def sample_frames(path: Path, header: Header, limits: Limits, count: int, spread: Spread) -> SampledFrames:
    """Up to `count` frames: see `Clip.frames`. Raises MediaError when not one frame can be decoded."""
    with open_container(path, limits) as container:
        stream = container.streams[header.video]
        track = read_packets(container, [stream], limits, path)[stream.index]
        pauses, tick = header.pauses.get(stream.index, ()), float(track.tick)
        track.positions = {
            stamp: position for stamp, position in track.positions.items() if not in_pause(pauses, stamp * tick)
        }
    reader = _Reader(path, header, limits, track)
    images = reader.by_packets(count, spread) or reader.by_frames(count, spread)
    if not images:
        raise MediaError(
            "no frame of the picture can be decoded",
            where=str(path),
            found=f"{pluralize(track.count, 'packet')}, {len(track.damaged)} of them damaged",
            expected="at least one whole frame",
            hint="play it in a video player; if it does not play there, copy or convert it again",
        )
    origin = header.start if max(images) >= header.start else min(images)
    guessed = sum(image.guessed for image in images.values())
    notes = list(dict.fromkeys(note for image in images.values() for note in image.notes))
    if track.damaged:
        notes.append(f"the picture is damaged: {pluralize(len(track.damaged), 'packet')} could not be read")
    if guessed:
        notes.append(f"the picture is damaged: parts of {pluralize(guessed, 'frame')} of {len(images)} are a guess")
    begin, end = float(reader.begin - origin), float(reader.end - origin)
    if begin > 0.5:
        notes.append(f"the picture begins at {begin:.1f} s of {header.duration:.1f} s")
    if header.duration - end > 0.5:
        notes.append(f"the picture ends at {end:.1f} s of {header.duration:.1f} s")
    return SampledFrames([images[stamp].image for stamp in images], [float(stamp - origin) for stamp in images], notes)


@dataclass
class _Reader:
    # Both ways of reading return stamp in seconds on the file's clock -> frame, in the order of the stamps.
    path: Path
    header: Header
    limits: Limits
    track: Track
    begin: Fraction = Fraction(0)
    end: Fraction = Fraction(0)

    def by_packets(self, count: int, spread: Spread) -> dict[Fraction, _DecodedFrame]:
        """Choose among the packets' stamps, then decode what the chosen frames need. Empty when that fails."""
        tick = self.track.tick
        if not self.track.complete:
            return {}
        stamps = _from(sorted(self.track.positions), self.header.start / tick)
        images: dict[int, _DecodedFrame] = {}
        for _ in range(ROUNDS):
            if not stamps:
                break
            length = frames_duration(stamps, self.track.lengths[stamps[-1]])
            self._set_span(stamps[0] * tick, length * tick)
            selected = [stamps[i] for i in sample_indices(stamps, length, count, spread)]
            images |= self._decode([stamp for stamp in selected if stamp not in images])
            if not self.track.complete:
                break
            undecodable = {stamp for stamp in selected if stamp not in images}
            if not undecodable:
                return {stamp * tick: images[stamp] for stamp in selected}
            stamps = [stamp for stamp in stamps if stamp not in undecodable]
        return {}

    def by_frames(self, count: int, spread: Spread) -> dict[Fraction, _DecodedFrame]:
        """Decode the whole file to learn when its frames are shown, then once more to keep the chosen ones.

        For files whose packets carry no stamps, or stamps that the decoded frames do not have.
        """
        frame_stamps: list[int | None] = []
        with open_container(self.path, self.limits) as container:
            stream = self._stream(container)
            frame_stamps.extend(_stamp(frame) for frame, _ in frames(demuxed(container, stream), self.track.damaged))
            step, tick = 1 / rate(stream), Fraction(stream.time_base)
        stamped = sorted(stamp for stamp in frame_stamps if stamp is not None)
        # Frames leave the decoder in the order they are shown, also where a container stores no presentation stamps
        # and the frames come with those of the order of decoding: these are sorted, and given out in turn.
        times = (
            [stamp * tick for stamp in stamped]
            if None not in frame_stamps
            else [i * step for i in range(len(frame_stamps))]
        )
        ordinals = dict(zip(times, range(len(times)), strict=True))
        stamps = _from(sorted(ordinals), self.header.start)
        if not stamps:
            return {}
        length = frames_duration(stamps, step if None in frame_stamps else 0)
        self._set_span(stamps[0], length)
        stamp_of_ordinal = {ordinals[stamps[i]]: stamps[i] for i in sample_indices(stamps, length, count, spread)}
        images: dict[Fraction, _DecodedFrame] = {}
        with open_container(self.path, self.limits) as container:
            stream = self._stream(container)
            for ordinal, (frame, packet) in enumerate(frames(demuxed(container, stream), self.track.damaged)):
                if ordinal in stamp_of_ordinal:
                    images[stamp_of_ordinal[ordinal]] = self._to_frame(frame, packet, stream)
                if len(images) == len(stamp_of_ordinal):
                    break
        return dict(sorted(images.items()))

    def _set_span(self, first: Fraction, length: Fraction) -> None:
        self.begin, self.end = first, first + length
        check_seconds(self.path, float(self.end - max(first, self.header.start)), self.limits)

    def _decode(self, stamps: list[int]) -> dict[int, _DecodedFrame]:
        ranges = [(self.track.start_of(stamp), self.track.positions[stamp]) for stamp in stamps]
        plan = merge_ranges(ranges)
        images = self._decode_runs(stamps, plan)
        # A container that cannot be sought in, or that lands elsewhere, is read from its first packet.
        return self._decode_runs(stamps, [(0, plan[-1][1])]) or {} if images is None else images

    def _decode_runs(self, stamps: list[int], plan: list[tuple[int, int]]) -> dict[int, _DecodedFrame] | None:
        images: dict[int, _DecodedFrame] = {}
        with open_container(self.path, self.limits) as container:
            stream = self._stream(container)
            for first, last in plan:
                pending = {stamp for stamp in stamps if first <= self.track.positions[stamp] <= last}
                packets = self._seek(container, stream, first) if first else demuxed(container, stream)
                if packets is None:
                    return None
                latest, previous = max(pending), None
                for frame, packet in frames(packets, self.track.damaged):
                    if frame.pts in pending:
                        pending.remove(frame.pts)
                        images[frame.pts] = self._to_frame(frame, packet, stream)
                    if previous is not None and frame.pts is not None and frame.pts <= previous:
                        self.track.complete = False
                        return images
                    previous = frame.pts
                    if not pending or (frame.pts is not None and frame.pts > latest):
                        break
        return images

    def _seek(self, container: Any, stream: Any, first: int) -> Iterator[Any] | None:
        # The packets from position `first` or an earlier one on, or None when the seek does not lead there.
        stamp = self.track.stamps[bisect_left(self.track.keyframes, first)]
        try:
            container.seek(stamp, stream=stream, backward=True)
            packets = demuxed(container, stream)
            head = next(packets)
        except (FFmpegError, StopIteration):
            return None
        if self.track.positions.get(head.pts, first + 1) > first:
            return None
        return _chain(head, packets)

    def _to_frame(self, frame: Any, packet: Any, stream: Any) -> _DecodedFrame:
        check_pixels(self.path, frame.width, frame.height, self.limits)
        image, notes = picture(frame, packet, stream.sample_aspect_ratio, self.limits.max_pixels)
        return _DecodedFrame(image, frame.is_corrupt, notes)

    def _stream(self, container: Any) -> Any:
        stream = container.streams[self.header.video]
        stream.codec_context.options = {"max_pixels": allowed_pixels(self.limits)}
        # Clips are read by several workers at once; the runs decoded here are short, threads would cost more.
        stream.codec_context.thread_count = 1
        return stream


def _chain(head: Any, packets: Iterator[Any]) -> Iterator[Any]:
    yield head
    yield from packets


def _from(stamps: list[Stamp], start: Fraction) -> list[Stamp]:
    # What is stamped before the clip starts is not shown, unless the header lies and nothing is stamped later.
    return stamps[bisect_left(stamps, start) :] or stamps


def _stamp(frame: Any) -> int | None:
    stamp: int | None = frame.pts if frame.pts is not None else frame.dts
    return stamp
