"""The packets of a file's streams, read without decoding them: when each is shown, and where decoding can start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median
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
    decoding can start, `stamps` the presentation stamps of those. `complete` is False when a packet has no stamp.
    """

    tick: Fraction
    rate: Fraction
    count: int = 0
    complete: bool = True
    shown: dict[int, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    keyframes: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    last: int | None = None

    def add(self, packet: Any) -> None:
        """Count one packet."""
        position, self.count = self.count, self.count + 1
        if packet.is_corrupt or packet.is_discard:
            return
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            self.last = max(stamp + (packet.duration or 0), self.last if self.last is not None else stamp)
        if packet.pts is None:
            self.complete = False
            return
        self.shown[packet.pts] = position
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
        position = self.shown[pts]
        nearest = bisect_right(self.keyframes, position) - 1
        while nearest >= 0 and self.stamps[nearest] > pts:
            nearest -= 1
        return self.keyframes[nearest] if nearest >= 0 else 0


def span(pts: Sequence[int], lengths: Sequence[int]) -> int:
    """Ticks from the first of the sorted stamps to the end of the last frame.

    A last frame without a length gets the median distance of the frames, a single one 0.
    """
    if not pts:
        return 0
    gaps = [after - before for before, after in zip(pts, pts[1:], strict=False)]
    return pts[-1] - pts[0] + (lengths[-1] or (int(median(gaps)) if gaps else 0))


def scan(container: Any, streams: Sequence[Any], limits: Limits, path: Path) -> dict[int, Track]:
    """Read every packet of `streams` to the end of the file: stream index -> [Track][].

    Damage ends the reading. Raises MediaError when there are more packets than a clip of `limits.max_seconds` has.
    """
    from av import FFmpegError

    tracks = {stream.index: Track(Fraction(stream.time_base), rate(stream)) for stream in streams}
    most = int(limits.max_seconds * MAX_PACKETS_PER_SECOND)
    try:
        for packet in container.demux(*streams):
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
    except FFmpegError:
        pass
    return tracks


def rate(stream: Any) -> Fraction:
    """Frames per second of a picture, packets per second of a sound as far as known; used where stamps are missing."""
    if stream.type == "audio":
        context = stream.codec_context
        return Fraction(context.sample_rate or 16000, getattr(context, "frame_size", 0) or 1024)
    return Fraction(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
