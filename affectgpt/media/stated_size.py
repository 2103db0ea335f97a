"""How many bytes of a file are missing by its own chunks' sizes: of formats whose sound has no stamps to tell."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

ENDIAN = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">", b"FORM": ">"}
"""Outer chunk -> byte order: WAV and AVI (RIFF), AIFF (FORM)."""

PADDING = 8
"""Bytes by which writers get a size wrong."""

UNKNOWN = 0x7FF0_0000
"""From this size on it is what a writer puts there that cannot know the size."""

MAX_CHUNKS = 10_000


def missing_bytes(path: Path) -> int:
    """By how many bytes a file is shorter than its chunks say; 0 for a whole file and for other formats."""
    end = os.stat(path).st_size
    with path.open("rb") as file:
        # A long AVI has one outer chunk behind the other.
        last = max(_stated_ends(file, end), default=0)
    return last - end if last > end + PADDING else 0


def _stated_ends(file: BinaryIO, end: int) -> list[int]:
    ends: list[int] = []
    offset, opened = 0, b""
    for _ in range(MAX_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            break
        kind = head[:4]
        order = ENDIAN.get(kind) or ENDIAN.get(opened)
        if order is None:
            break
        (size,) = struct.unpack(f"{order}I", head[4:])
        if 0 < size < UNKNOWN:
            ends.append(offset + 8 + size)
        if kind in ENDIAN:
            opened, offset = kind, offset + 12
        elif size < UNKNOWN and offset + 8 + size <= end:
            offset += 8 + size + size % 2
        else:
            break
    return ends
