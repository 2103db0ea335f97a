"""Check the arguments of `describe`: paths, folders, contents of files, open clips, and texts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from io import IOBase
from pathlib import Path

from affectgpt.core.describing import OneClip
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import ConfigError, MediaError

MEDIA_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".flv",
        ".mpg",
        ".mpeg",
        ".ts",
        ".wmv",
        ".3gp",
        ".wav",
        ".mp3",
        ".m4a",
        ".aac",
        ".flac",
        ".ogg",
        ".opus",
        ".jpg",
        ".jpeg",
        ".png",
    }
)


def media_files(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and the media files directly in each folder, sorted by name.

    Links to missing files are kept, so that each gets a row with an error.

    Raises MediaError when a folder holds no media file.
    """
    files: list[Path] = []
    for path in paths:
        # A name may be longer than a file system takes, which `Path.is_dir` raises.
        if not os.path.isdir(path):
            files.append(path)
            continue
        folder_files = _media_in(path)
        if not folder_files:
            below = next((child for child in sorted(path.iterdir()) if child.is_dir() and _media_in(child)), None)
            raise MediaError(
                "there is no media file in this folder",
                where=str(path),
                expected=f"files ending in {' '.join(sorted(MEDIA_SUFFIXES))}",
                hint=f"name {below}, which holds some" if below else "",
            )
        files += folder_files
    return files


def _media_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in MEDIA_SUFFIXES and not path.is_dir())


def read_argument(what: OneClip | Iterable[OneClip]) -> tuple[list[OneClip], bool]:
    """The clips that `what` names, and whether it names a single clip.

    Raises ConfigError for anything else, and as [media_files][].
    """
    if isinstance(what, str | Path):
        # `Path("")` is the working folder.
        if what == "":
            raise MediaError("the path is empty", where="what", expected="the path of a media file or of a folder")
        return list(media_files([Path(what)])), not os.path.isdir(what)
    if isinstance(what, bytes | bytearray | memoryview | Clip):
        return [_plain(what)], True
    # An open file is an iterable of its lines, which are bytes, and a mapping one of its keys.
    if not isinstance(what, Iterable) or isinstance(what, IOBase | Mapping):
        raise _error_clip(what)
    return [_plain(clip) for clip in what], False


def _plain(clip: object) -> OneClip:
    if isinstance(clip, bytearray | memoryview):
        return bytes(clip)
    if isinstance(clip, str | Path | bytes | Clip):
        return clip
    raise _error_clip(clip)


def _error_clip(what: object) -> ConfigError:
    return ConfigError(
        "this is no clip",
        where="what",
        found=type(what).__name__,
        expected="a path, the bytes of a media file, a Clip, or an iterable of these",
        hint="pass the content of an open file: file.read()" if isinstance(what, IOBase) else "",
    )


def check_texts(subtitle: object, question: object) -> None:
    """Raise ConfigError unless `subtitle` and `question`, which hold for every clip, are texts or None."""
    hints = {"subtitle": "for a text of each clip pass clips: Clip.open(path, subtitle=text)", "question": ""}
    for name, text in (("subtitle", subtitle), ("question", question)):
        if text is not None and not isinstance(text, str):
            raise ConfigError(
                f"the {name} is not a text",
                where=name,
                found=type(text).__name__,
                expected="one text for every clip, or None",
                hint=hints[name],
            )


def check_counts(batch_size: object, workers: object) -> None:
    """Raise ConfigError unless `batch_size` is at least 1 and `workers` at least 0."""
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if not isinstance(value, int) or value < least:
            raise ConfigError(
                "the number is out of range", where=name, found=repr(value), expected=f"an integer, at least {least}"
            )
