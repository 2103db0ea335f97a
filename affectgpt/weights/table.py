"""The parts that can be fetched: one row a part. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from affectgpt.registry.errors import CheckpointError, ConfigError, join_names
from affectgpt.registry.messages import did_you_mean


@dataclass(frozen=True)
class Part:
    """A file of a Python package and what is made of it.

    `archive` is the package's wheel; `member` is the path in it of the file that is read. Both have their SHA-256.
    `convert`, `"package.module:function"`, turns the member's path into tensors by name; they are stored as `file`.
    """

    summary: str
    package: str
    version: str
    archive: str
    archive_sha256: str
    member: str
    member_sha256: str
    convert: str
    file: str
    licence: str


PARTS: Mapping[str, Part] = {
    "voice": Part(
        summary="finds speech in a sound (Silero VAD), for presence.voice: net",
        package="silero-vad",
        version="6.2.3",
        archive="silero_vad-6.2.3-py3-none-any.whl",
        archive_sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        member="silero_vad/data/silero_vad.jit",
        member_sha256="e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
        convert="affectgpt.weights.voice_activity:tensors_of_package",
        file="voice_activity.safetensors",
        licence="MIT",
    ),
}


def find_part(name: str) -> Part:
    """The row of the part `name`. Raises ConfigError, naming the nearest, when there is none."""
    if name not in PARTS:
        raise ConfigError(
            f"there are no weights {name!r}",
            where="weights",
            expected=f"one of {join_names(PARTS)}",
            hint=did_you_mean(name, PARTS),
        )
    return PARTS[name]


def cache_folder() -> Path:
    """Where the parts lie: `$AFFECTGPT_WEIGHTS`, else `affectgpt/weights` in the user's cache folder."""
    chosen = os.environ.get("AFFECTGPT_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "affectgpt" / "weights"


def part_file(name: str) -> Path:
    """Where the tensors of a part lie, or would lie."""
    part = find_part(name)
    return cache_folder() / f"{name}-{part.version}" / part.file


def fetched_file(name: str) -> Path:
    """The tensors of a part. Raises CheckpointError when they were not fetched: nothing is fetched unasked."""
    path = part_file(name)
    if not path.is_file():
        raise CheckpointError(
            f"the weights {name!r} are not on this machine",
            where=str(path),
            hint=f"run `affectgpt weights get {name}`",
        )
    return path
