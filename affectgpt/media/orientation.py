"""Turning and mirroring decoded frames the way their file says they are to be seen."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np

Orientation = tuple[int, int, int, int]
"""(a, b, c, d): the pixel at (x, y) goes to (a x + c y, b x + d y), the order of ISO/IEC 14496-12, section 6.2.2."""

# Exif 2.32, tag 0x0112: where row 0 and column 0 of the stored picture are to be seen.
_EXIF: dict[int, Orientation] = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
_EXIF_START = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4})(?=II\*\0|MM\0\*)", re.DOTALL)
_ROTATION: dict[int, Orientation] = {0: _EXIF[1], 1: _EXIF[8], 2: _EXIF[3], 3: _EXIF[6]}


def read_orientation(frame: Any, packet: Any) -> Orientation:
    """How the file says `frame` is to be turned and mirrored."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV before 19 cannot list the side data of a frame that also carries Exif. A still picture is one packet
        # and has no delay, so the Exif block is found there; else the angle is known, a mirror is not.
        orientation = exif_orientation(bytes(packet)) if packet.size else None
        return _EXIF.get(orientation or 0, _ROTATION[round(frame.rotation / 90) % 4])
    if matrix is None:
        return _EXIF[1]
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return (a, b, c, d)


def apply_orientation(image: np.ndarray, turn: Orientation) -> np.ndarray:
    """Apply `turn` to `[H, W, 3]`, rounded to quarter turns and mirrors. Only the signs and the larger pair count."""
    a, b, c, d = turn
    swapped = abs(b) > abs(a)
    x_sign, y_sign = (c, b) if swapped else (a, d)
    if swapped:
        image = image.swapaxes(0, 1)
    return image[:: -1 if y_sign < 0 else 1, :: -1 if x_sign < 0 else 1]


def exif_orientation(data: bytes) -> int | None:
    """The orientation, 1 to 8, in the Exif block of a JPEG, PNG or WebP file; None without one."""
    start = _EXIF_START.search(data)
    if start is None:
        return None
    block = data[start.end() : start.end() + 2**16]
    order = "<" if block[:1] == b"I" else ">"
    try:
        (offset,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, offset)
        for entry in range(min(entries, 256)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", block, offset + 2 + 12 * entry)
            if tag == 0x0112 and kind == 3:
                return value if value in _EXIF else None
    except struct.error:
        return None
    return None
