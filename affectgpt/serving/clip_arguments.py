"""Check the arguments of `describe`: paths, folders, contents of files, open clips, and texts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import IOBase
from pathlib import Path

from affectgpt.core.describing import OneClip
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import ConfigError, MediaError
from affectgpt.registry.messages import count_and_first

_LOG = logging.getLogger("affectgpt")

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

    Links to missing files are kept, so that each gets a row with an error. Hidden files and folders in a folder are
    left out; what is left out is logged, except the files that macOS hides beside others.

    Raises MediaError when a folder holds no media file.
    """
    files: list[Path] = []
    for path in paths:
        # A name may be longer than a file system takes, which `Path.is_dir` raises.
        if not os.path.isdir(path):
            files.append(path)
            continue
        content = _FolderContent.read(path)
        if not content.files:
            below = next((folder for folder in content.folders if _holds_media(folder)), None)
            raise MediaError(
                "there is no media file in this folder",
                where=str(path),
                found=content.left_out,
                expected=f"files ending in {' '.join(sorted(MEDIA_SUFFIXES))}",
                hint=f"name {below}, which holds some" if below else "",
            )
        if content.left_out:
            _LOG.warning("%s: left out %s", path, content.left_out)
        files += content.files
    return files


def _holds_media(folder: Path) -> bool:
    try:
        return bool(_FolderContent.read(folder).files)
    except MediaError:
        return False


@dataclass(frozen=True)
class _FolderContent:
    """The media files of a folder, hidden media files, and the folders in it that are not hidden."""

    files: list[Path]
    hidden: list[Path]
    folders: list[Path]

    @classmethod
    def read(cls, folder: Path) -> _FolderContent:
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            raise MediaError(
                "the folder cannot be read",
                where=str(folder),
                found=error.strerror or str(error),
                expected="a readable folder",
            ) from None
        media = [path for path in paths if path.suffix.lower() in MEDIA_SUFFIXES and not path.is_dir()]
        return cls(
            [path for path in media if not path.name.startswith(".")],
            [path for path in media if path.name.startswith(".") and not path.name.startswith("._")],
            [path for path in paths if path.is_dir() and not path.name.startswith((".", "__MACOSX"))],
        )

    @property
    def left_out(self) -> str:
        """The kinds of what is not described: how many, and the first of each; "" for nothing."""
        kinds = (("hidden files", self.hidden), ("folders, which are not entered", self.folders))
        return "; ".join(f"{kind}: {count_and_first([path.name for path in paths])}" for kind, paths in kinds if paths)


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
    """Raise ConfigError unless `subtitle` and `question`, which hold for every clip, are texts or None.

    A text with half of a surrogate pair is none.
    """
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
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            # A terminal's bytes that are no UTF-8 arrive so; the model would read something else in their place.
            raise ConfigError(
                f"the {name} holds bytes that are no UTF-8 text",
                where=name,
                found=ascii(text[:80]),
                hint="write it in UTF-8",
            )


def check_counts(batch_size: object, workers: object) -> None:
    """Raise ConfigError unless `batch_size` is at least 1 and `workers` at least 0."""
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if not isinstance(value, int) or value < least:
            raise ConfigError(
                "the number is out of range", where=name, found=repr(value), expected=f"an integer, at least {least}"
            )
