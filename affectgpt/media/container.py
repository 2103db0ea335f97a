"""Opening a media file that is not trusted, and what its header says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from affectgpt.media.edit_list import Pause, read_pauses
from affectgpt.media.limits import Limits
from affectgpt.media.packets import TimedBytes, read_packets
from affectgpt.media.stated_size import missing_bytes
from affectgpt.registry.errors import MediaError

SECOND = 1_000_000
BUFFER_BYTES = 2**16

COUNTED_FROM_ZERO = ("matroska", "ogg", "nut")
"""Formats whose headers state where the last stamp ends, not how long the clip is: libav passes that on."""

UNCERTAINTY = 0.05
"""Seconds by which a length may differ from the stamps: they are rounded, and encoders delay what they encode."""

_SYSTEM_FILES = {
    b"\0\5\x16\7": "what macOS keeps of another file (AppleDouble): its name is that file's, with ._ before it",
    b"\0\5\x16\0": "what macOS keeps of a file in one piece (AppleSingle)",
    b"\0\0\0\1Bud1": "how the macOS Finder shows a folder (.DS_Store)",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a store of Windows (Thumbs.db), or a document of an old Office",
}


@dataclass(frozen=True)
class Header:
    """What is known of a file without decoding it.

    `start` is the file's own clock at the clip's time 0, seconds; `duration` seconds; `video` and `audio` are stream
    indexes, None without; `notes` say what a reader should know. `pauses`: stream index -> when its edit list plays
    nothing, seconds on the file's own clock.
    """

    start: Fraction
    duration: float
    video: int | None
    audio: int | None
    notes: tuple[str, ...]
    pauses: Mapping[int, Sequence[Pause]] = field(default_factory=dict)


@contextmanager
def open_container(path: Path, limits: Limits) -> Iterator[Any]:
    """`path` as a PyAV input container. What libav raises inside the block leaves it as a MediaError.

    No protocol is allowed, so a playlist posing as a clip reaches neither the network nor another file. libav
    refuses frames far above `limits.max_pixels` from here on, while it looks for the streams included.
    """
    import av

    entered = False
    try:
        options = {"protocol_whitelist": "none", "max_pixels": allowed_pixels(limits)}
        with (
            path.open("rb", buffering=0) as file,
            av.open(
                TimedBytes(file, limits.max_decode_seconds),
                options=options,
                metadata_errors="replace",
                buffer_size=BUFFER_BYTES,
                timeout=limits.max_decode_seconds,
            ) as container,
        ):
            entered = True
            yield container
    except PermissionError:
        raise MediaError(
            "the file may not be read",
            where=str(path),
            found="permission denied",
            expected="a readable file",
            hint="change its permissions, or run as a user who may read it",
        ) from None
    except (TimeoutError, av.error.ExitError):
        raise MediaError(
            "reading the file takes too long",
            where=str(path),
            found=f"not done after {limits.max_decode_seconds:g} s",
            expected="a file that is read faster than that",
            hint="play it in a video player; if it plays there, cut it into parts or convert it",
        ) from None
    except (av.FFmpegError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise MediaError(
            "the file cannot be decoded" if entered else "the file cannot be opened as media",
            where=str(path),
            found=_reason(error),
            expected="a whole video, audio or picture file",
            hint="play it in a video player; if it does not play there, copy or convert it again",
        ) from None


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "data in no known media format, or its index is missing" if "Invalid data" in text else text


def read_header(path: Path, limits: Limits) -> Header:
    """Check `path` and read its header. Decodes nothing; raises MediaError for whatever cannot be a clip."""
    _check_file(path, limits)
    with open_container(path, limits) as container:
        video, notes = _choose(container, "video", "picture")
        audio, sound_notes = _choose(container, "audio", "sound")
        notes += sound_notes
        chosen = [stream for stream in (video, audio) if stream is not None]
        if not chosen:
            raise MediaError(
                "the file has neither picture nor sound",
                where=str(path),
                found="; ".join([_kinds(container), *notes]),
                expected="a video or audio stream",
                hint="check that this is the right file",
            )
        if video is not None:
            check_pixels(path, video.codec_context.width, video.codec_context.height, limits)
        notes += [text for text, stream in (("no picture", video), ("no sound", audio)) if stream is None]
        starts = [stream.start_time * Fraction(stream.time_base) for stream in chosen if stream.start_time is not None]
        start = min(starts, default=Fraction(0))
        promised = (container.duration or 0) / SECOND
        measured = promised
        short = _is_truncated(container, chosen)
        from_zero = start > UNCERTAINTY and any(name in container.format.name for name in COUNTED_FROM_ZERO)
        if promised > 0 and not from_zero:
            check_seconds(path, promised, limits)
        # Where there are pauses, libav takes the length of what is played without them.
        pauses = read_pauses(path) if "mov" in container.format.name else {}
        if promised <= 0 or short or from_zero or pauses:
            tracks = read_packets(container, chosen, limits, path)
            end = float(max(track.end() for track in tracks.values()))
            measured = max(0.0, end - float(start))
            # Some writers of these formats count from the first stamp all the same: then the end lies behind it.
            if from_zero and end <= promised + UNCERTAINTY:
                promised -= float(start)
            short = short or (from_zero and promised - measured > 0.5)
            check_seconds(path, measured, limits)
        if short and measured <= 0:
            raise MediaError(
                "the file ends before its first frame",
                where=str(path),
                found=f"{container.size:,} bytes and a header that states {promised:.1f} s",
                expected="a whole file",
                hint="copy or download it again",
            )
        if short:
            notes.append(f"the file ends early: {measured:.1f} s of {promised:.1f} s are there")
        elif missing := missing_bytes(path):
            notes.append(f"the file ends early: {missing:,} of {missing + container.size:,} bytes are missing")
        return Header(
            start=start,
            duration=measured,
            video=None if video is None else video.index,
            audio=None if audio is None else audio.index,
            notes=tuple(notes),
            pauses={stream.index: pauses[stream.id] for stream in chosen if stream.id in pauses},
        )


def _check_file(path: Path, limits: Limits) -> None:
    try:
        size = os.stat(path).st_size
        regular = path.is_file()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise MediaError(
            "there is no such file" if missing else "the file cannot be read",
            where=str(path),
            found="nothing of that name" if missing else getattr(error, "strerror", None) or str(error),
            expected="a media file",
            hint="check the spelling of the path; it is taken relative to the current folder",
        ) from None
    if not regular:
        raise MediaError(
            "this is not a file",
            where=str(path),
            found="a folder" if path.is_dir() else "a device or a pipe",
            expected="a media file",
            hint="name one file inside it" if path.is_dir() else "save it as a file first",
        )
    if size == 0:
        raise MediaError(
            "the file is empty",
            where=str(path),
            found="0 bytes",
            expected="a media file",
            hint="copy or download it again",
        )
    if size > limits.max_bytes:
        raise MediaError(
            "the file is too large",
            where=str(path),
            found=f"{size:,} bytes",
            expected=f"at most {limits.max_bytes:,} bytes",
            hint="cut the clip into parts, or raise the limit",
        )
    _check_not_system_file(path)


def _check_not_system_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        # Opening it as media says why.
        return
    kind = next((kind for magic, kind in _SYSTEM_FILES.items() if start.startswith(magic)), None)
    if path.name.lower() == "desktop.ini":
        kind = "how Windows shows a folder (desktop.ini)"
    if kind is not None:
        original = path.with_name(path.name.removeprefix("._"))
        is_there = original != path and original.is_file()
        raise MediaError(
            "this is no clip, but a file of the system",
            where=str(path),
            found=kind,
            expected="a media file",
            hint=f"name {original}" if is_there else "leave it out",
        )


def _choose(container: Any, kind: str, noun: str) -> tuple[Any, list[str]]:
    # The stream flagged default; the one that libav calls best where none or several are.
    # Cover art is a picture of the record, not of the speaker: the file has no picture for us.
    streams = [stream for stream in container.streams if stream.type == kind]
    candidates = [stream for stream in streams if not stream.disposition & stream.disposition.attached_pic]
    notes = ["the cover art is not used as a picture"] if len(candidates) < len(streams) else []
    readable = [stream for stream in candidates if stream.codec_context is not None]
    if not readable:
        return None, [*notes, f"the {noun} is in a format that cannot be decoded"] if candidates else notes
    defaults = [stream for stream in readable if stream.disposition & stream.disposition.default]
    best = container.streams.best(kind)
    chosen = best if len(defaults) != 1 and best in readable else (defaults or readable)[0]
    if len(candidates) > 1:
        notes.append(f"one of {len(candidates)} {noun}s in the file is used: stream {chosen.index}")
    return chosen, notes


def _kinds(container: Any) -> str:
    kinds = sorted({str(stream.type) for stream in container.streams})
    return f"streams of kind: {', '.join(kinds)}" if kinds else "no streams"


def allowed_pixels(limits: Limits) -> str:
    """`limits.max_pixels` for libav, which counts a frame's padding too: what it lets through is checked exactly."""
    return str(2 * limits.max_pixels + 2**16)


def check_pixels(path: Path, width: int, height: int, limits: Limits) -> None:
    """Raises MediaError when a frame of this size is above `limits.max_pixels`, or its size is unknown (0)."""
    if width and height and width * height <= limits.max_pixels:
        return
    # libav leaves the size at 0 when it refused the first frame and the container does not state it.
    raise MediaError(
        "the picture is too large" if width and height else "the picture is too large, or its size cannot be read",
        where=str(path),
        found=f"{width} x {height} pixels" if width and height else "a first frame that was refused",
        expected=f"at most {limits.max_pixels:,} pixels per frame",
        hint="scale the clip down, or raise the limit; if no player shows it, copy or convert it again",
    )


def check_seconds(path: Path, seconds: float, limits: Limits) -> None:
    """Raises MediaError when `seconds` is above `limits.max_seconds`."""
    if seconds > limits.max_seconds:
        raise MediaError(
            "the clip is too long",
            where=str(path),
            found=f"{seconds:.1f} s",
            expected=f"at most {limits.max_seconds:g} s",
            hint="cut the clip into parts, or raise the limit",
        )


def _is_truncated(container: Any, streams: list[Any]) -> bool:
    # MP4 lists the place of every packet: one that lies beyond the end of the file was cut off.
    for stream in streams:
        entries = stream.index_entries
        if len(entries) and entries[-1].pos + entries[-1].size > container.size:
            return True
    return False


def pluralize(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
