"""The packets of a file's streams, read without decoding them: when each is shown, and where decoding can start."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectgpt.registry.errors import MediaError

if TYPE_CHECKING:
    from affectgpt.media.limits import Limits

MAX_PACKETS_PER_SECOND = 1000
DEFAULT_RATE = 25


@dataclass
class Track:
    """The packets of one stream in decoding order. Stamps and lengths are in ticks of `tick` seconds.

    `shown` maps the presentation stamp of each frame that is meant to be shown to its packet's position;
    `lengths` has that frame's duration (0 when the file does not say); `keyframes` are the positions where
    decoding can start, `stamps` the presentation stamps of those. `complete` is False when a packet has no
    presentation stamp, or one that is not to be relied on. `damaged` names the packets that are not whole.
    """

    tick: Fraction
    rate: Fraction
    count: int = 0
    complete: bool = True
    positions: dict[int, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    keyframes: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    damaged: set[tuple[int, int]] = field(default_factory=set)
    last: int | None = None

    def add(self, packet: Any) -> None:
        """Count one packet."""
        position, self.count = self.count, self.count + 1
        if packet.is_corrupt:
            self.damaged.add(name(packet))
        if packet.is_corrupt or packet.is_discard:
            return
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            self.last = max(stamp + (packet.duration or 0), self.last if self.last is not None else stamp)
        if packet.pts is None:
            self.complete = False
            return
        self.positions[packet.pts] = position
        self.lengths[packet.pts] = packet.duration or 0
        if packet.is_keyframe:
            self.keyframes.append(position)
            self.stamps.append(packet.pts)

    def end(self) -> Fraction:
        """Where the stream ends on the file's clock, seconds; by counting when its packets carry no stamps."""
        return self.count / self.rate if self.last is None else self.last * self.tick

    def start_of(self, pts: int) -> int:
        """The position of the last keyframe from which the frame `pts` can be decoded.

        A keyframe that is decoded before the frame but shown after it does not count: the frame may refer to
        pictures from before that keyframe (an open group of pictures).
        """
        position = self.positions[pts]
        nearest = bisect_right(self.keyframes, position) - 1
        while nearest >= 0 and self.stamps[nearest] > pts:
            nearest -= 1
        return self.keyframes[nearest] if nearest >= 0 else 0


class TimedBytes:
    """The bytes of a file for libav, for `seconds` from now on: after that, reading and [check][] raise TimeoutError.

    libav is given bytes, not a name. A name may be read as a pattern (`%03d.png`) or a protocol (`concat:`), and its
    suffix may choose the format; without one the format is found in the content alone.
    """

    def __init__(self, file: FileIO, seconds: float) -> None:
        self._file, self._end = file, time.monotonic() + seconds
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes | None:
        """As the file's own."""
        self.check()
        return self._file.read(size)

    def check(self) -> None:
        """Raise TimeoutError when the time is over."""
        if time.monotonic() > self._end:
            raise TimeoutError


def frames_duration(pts: Sequence[Fraction | int], last: Fraction | int = 0) -> Fraction:
    """From the first of the sorted stamps to the end of the last frame, which lasts `last`.

    Where the file does not say how long the last frame lasts (0), it is the median distance of the frames; a single
    frame then spans 0.
    """
    if not pts:
        return Fraction(0)
    gaps = sorted(after - before for before, after in pairwise(pts))
    return Fraction(pts[-1] - pts[0] + (last or (gaps[len(gaps) // 2] if gaps else 0)))


def read_packets(container: Any, streams: Sequence[Any], limits: Limits, path: Path) -> dict[int, Track]:
    """Read every packet of `streams` to the end of the file: stream index -> [Track][].

    Damage ends the reading. Raises MediaError when there are more packets than a clip of `limits.max_seconds` has.
    """
    tracks = {stream.index: Track(Fraction(stream.time_base), rate(stream)) for stream in streams}
    for stream in streams:
        tracks[stream.index].complete = not _guessed_stamps(container, stream)
    most = int(limits.max_seconds * MAX_PACKETS_PER_SECOND)
    for packet in demuxed(container, *streams):
        if not packet.size:
            continue
        track = tracks[packet.stream_index]
        track.add(packet)
        if track.count > most:
            raise MediaError(
                "the file has more packets than a clip of the allowed length",
                where=str(path),
                found=f"more than {most:,}",
                expected=f"at most {MAX_PACKETS_PER_SECOND:,} per second and {limits.max_seconds:g} s",
                hint="cut the clip into parts, or raise the limit",
            )
    return tracks


def demuxed(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of `streams` up to the end of the file, or up to where it can be read no further.

    The last packet of each stream is an empty one: given to the decoder, it brings out the frames held back.
    Raises TimeoutError as [TimedBytes][].
    """
    from av import FFmpegError
    from av.error import ExitError

    source: TimedBytes = container.file.file
    try:
        for packet in container.demux(*streams):
            source.check()
            yield packet
    except ExitError:
        raise
    except (FFmpegError, IndexError):
        # PyAV raises IndexError when a damaged transport stream announces a stream that was not there before.
        return


def frames(packets: Iterator[Any], damaged: set[tuple[int, int]]) -> Iterator[tuple[Any, Any]]:
    """Each decoded frame with the packet that brought it out. Packets that cannot be decoded are added to `damaged`."""
    from av import FFmpegError

    for packet in packets:
        try:
            decoded = packet.decode()
        except FFmpegError:
            if packet.size:
                damaged.add(name(packet))
            continue
        yield from ((frame, packet) for frame in decoded)


def _guessed_stamps(container: Any, stream: Any) -> bool:
    # AVI stores no presentation stamps. Where frames are reordered, those that libav makes up are wrong.
    return "avi" in container.format.name and bool(getattr(stream.codec_context, "has_b_frames", False))


def name(packet: Any) -> tuple[int, int]:
    """What tells a packet from the others of its stream, however often the file is read: its place and its stamp."""
    return (-1 if packet.pos is None else packet.pos, -1 if packet.dts is None else packet.dts)


def rate(stream: Any) -> Fraction:
    """Frames per second of a picture, packets per second of a sound as far as known; used where stamps are missing."""
    if stream.type == "audio":
        context = stream.codec_context
        return Fraction(context.sample_rate or 16000, getattr(context, "frame_size", 0) or 1024)
    return Fraction(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
