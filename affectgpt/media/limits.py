"""How large a media file may be before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one media file. They are compared with what the file's header says before anything is decoded,
    and again with what is found while reading, since a header may lie.

    - `max_bytes`: size of the file.
    - `max_seconds`: length of the clip.
    - `max_pixels`: width times height of one frame.
    - `max_decode_seconds`: time for reading the file once from its first packet to its last, looked at between packets:
      a decoder that never comes back from one of them can be ended with its process only.
    """

    max_bytes: int = 4 * 2**30
    max_seconds: float = 3600
    max_pixels: int = 4096 * 2304
    max_decode_seconds: float = 600
