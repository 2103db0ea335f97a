"""The text that belongs to a clip: a file beside it, in SubRip, WebVTT or plain text."""

from __future__ import annotations

import codecs
import html
import re
from pathlib import Path

from affectgpt.media.encoding_guess import EncodingEvidence
from affectgpt.registry.errors import MediaError

SUFFIXES = (".srt", ".vtt", ".txt")
MAX_BYTES = 2**20

_TIMING = re.compile(r"^\s*(\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}\s*-->")
# No tag holds an opening bracket: else a line of opening brackets takes time quadratic in its length.
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def sidecar(media: Path) -> Path | None:
    """The first of `clip.srt`, `clip.vtt`, `clip.txt` that is a file beside `clip.mp4`, or None."""
    candidates = (media.with_suffix(suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if path != media and path.is_file()), None)


def read_subtitle(path: Path) -> str:
    """The words of a subtitle file on one line, without indexes, timings, tags and comments.

    A cue that repeats the cue before it exactly is dropped. Raises MediaError when the file cannot be read or is
    over 1 MiB.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(
            "the subtitle file cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            expected="a readable text file",
            hint="make it readable, or give the subtitle as text",
        ) from None
    if len(data) > MAX_BYTES:
        raise MediaError(
            "the subtitle file is too large",
            where=str(path),
            found=f"more than {MAX_BYTES:,} bytes",
            expected=f"at most {MAX_BYTES:,} bytes",
            hint="cut it to the part that belongs to the clip, or give the subtitle as text",
        )
    text = decode_text(data)
    if path.suffix.lower() == ".txt":
        return " ".join(text.split())
    return cue_text(text, vtt=path.suffix.lower() == ".vtt")


def decode_text(data: bytes) -> str:
    """Bytes to text: by the byte order mark, else the first of UTF-8, GB 18030, Windows-1252 and Latin-1 that fits.

    GB 18030 does not fit what is Western text by [EncodingEvidence][]. The locale of the machine plays no part.
    Bytes that do not fit the encoding of their byte order mark become U+FFFD. NUL bytes are removed.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").replace("\0", "")
    for encoding in ("utf-8", "gb18030", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "gb18030" or not _is_western(text):
            return text.replace("\0", "")
    return data.decode("latin-1").replace("\0", "")


def _is_western(text: str) -> bool:
    evidence = EncodingEvidence()
    evidence.add(text)
    return evidence.is_western


def cue_text(text: str, *, vtt: bool) -> str:
    """The words of SubRip text, or of WebVTT text (`vtt=True`), cues joined by a space."""
    cues: list[str] = []
    for block in re.split(r"\n[ \t]*\n", "\n".join(text.splitlines())):
        lines = [line for line in block.split("\n") if line.strip()]
        # In WebVTT what has no timing is the header, a comment or a style; in SubRip it is text after a blank line.
        if vtt and not any(_TIMING.match(line) for line in lines):
            continue
        for cue in _cues(lines):
            plain = _TAG.sub("", cue)
            words = " ".join((html.unescape(plain) if vtt else plain).split())
            if words and (not cues or cues[-1] != words):
                cues.append(words)
    return " ".join(cues)


def _cues(lines: list[str]) -> list[str]:
    # A timing line starts a cue; the line before it is the cue's index. A block may hold several cues: the blank
    # line between them is missing in many files.
    cues: list[list[str]] = [[]]
    for position, line in enumerate(lines):
        if _TIMING.match(line):
            cues.append([])
        elif not (position + 1 < len(lines) and _TIMING.match(lines[position + 1]) and _is_index(line, position)):
            cues[-1].append(line)
    return [" ".join(cue) for cue in cues]


def _is_index(line: str, position: int) -> bool:
    # At the head of a block any line is an identifier (WebVTT allows words); inside it only a number is.
    return position == 0 or line.strip().isdigit()
