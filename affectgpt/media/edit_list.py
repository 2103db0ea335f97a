"""The pauses of an MP4 file: empty edits after the first, in which libav plays other parts of the file instead."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

Pause = tuple[float, float]
"""Begin and end on the clock of the file, seconds."""

MAX_TABLE_BYTES = 2**20
"""The longest edit list that is read: 50,000 edits."""

MAX_BOXES = 10_000
"""How many parts of a file are looked at."""

HALF_A_FRAME = 0.01
"""Seconds."""


def read_pauses(path: Path) -> dict[int, list[Pause]]:
    """Track number -> its pauses (ISO/IEC 14496-12, section 8.6.6). Damage ends the reading."""
    pauses: dict[int, list[Pause]] = {}
    scale, number = 0, 0
    with path.open("rb") as file:
        boxes = _boxes(file, os.fstat(file.fileno()).st_size, (b"moov", b"trak", b"edts"))
        for kind, size in islice(boxes, MAX_BOXES):
            body = file.read(min(size, MAX_TABLE_BYTES)) if kind in (b"mvhd", b"tkhd", b"elst") else b""
            try:
                if kind == b"mvhd":
                    (scale,) = struct.unpack_from(">I", body, 20 if body[0] else 12)
                elif kind == b"tkhd":
                    (number,) = struct.unpack_from(">I", body, 20 if body[0] else 12)
                elif kind == b"elst" and scale:
                    pauses[number] = list(_pauses(body, scale))
            except (struct.error, IndexError):
                break
            if kind == b"moof":
                # A file in fragments: what describes its tracks was before the first.
                break
    return {track: empty for track, empty in pauses.items() if empty}


def in_pause(pauses: Iterable[Pause], stamp: float) -> bool:
    """Whether a frame stamped `stamp` belongs to a pause: frames do not begin exactly where edits do."""
    return any(begin <= stamp + HALF_A_FRAME < end for begin, end in pauses)


def _boxes(file: BinaryIO, end: int, opened: tuple[bytes, ...]) -> Iterator[tuple[bytes, int]]:
    # Kind and size of the content of each box up to `end`; instead of a box of the kind that is first in `opened`,
    # those in it. The file stands at the content.
    offset = file.tell()
    while offset + 8 <= end:
        file.seek(offset)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
            head = 16
        size = size or end - offset
        if size < head or offset + size > end:
            return
        if opened and kind == opened[0]:
            yield from _boxes(file, offset + size, opened[1:])
        else:
            yield kind, size - head
        offset += size


def _pauses(table: bytes, scale: int) -> Iterator[Pause]:
    entry = struct.Struct(">Qqhh" if table[0] else ">Iihh")
    (count,) = struct.unpack_from(">I", table, 4)
    clock, playing = 0, False
    for index in range(min(count, (len(table) - 8) // entry.size)):
        length, media_time, _, _ = entry.unpack_from(table, 8 + index * entry.size)
        if media_time == -1 and playing:
            yield clock / scale, (clock + length) / scale
        playing = playing or media_time != -1
        clock += length
