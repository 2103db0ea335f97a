"""`cache.json`: the settings of a cache, which a later run and training must match."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from affectgpt.core.config import NAME, PresenceConfig
from affectgpt.data.feature_cache.journal import HINT_ENCODE_AGAIN, error_unwritable
from affectgpt.files.atomic import write_atomic
from affectgpt.files.locks import LOCK_FILE
from affectgpt.registry.errors import DataError, join_names
from affectgpt.registry.messages import flatten

SETTINGS = "cache.json"
_LARGEST = 16 * 1024 * 1024
_BEFORE_SETTINGS = {LOCK_FILE, f".{SETTINGS}.part"}
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
DType = Literal["float32", "float16", "bfloat16"]


VERSION: Literal[2] = 2
"""The version of the format in which caches are begun."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class EncoderSettings(_Strict):
    """An encoder of a cache: its plugin and options, a fingerprint of its weights, the width of its tokens.

    `stored`: its weights are in the cache, because no model folder holds them. `code` is what
    [code_of_encoder][affectgpt.data.feature_cache.keys.code_of_encoder] gave, `files` are the SHA-256 of the files of
    its weights by name, `key` is [encoder_key][]. Caches of version 1 lack `code` and `files`.
    """

    plugin: str
    options: dict[str, Any]
    weights: Key
    stored: bool
    dim: Annotated[int, Field(ge=1)]
    code: dict[str, str] | None = None
    files: dict[str, str] = {}
    key: Key


class CacheSettings(_Strict):
    """All that decides the bytes of a cache, but for the clips.

    `reads` is the union of what the encoders read, and decides the keys of clips; `media_version` is that of the
    program by which the files were read. Caches of version 1 lack both: they read media only. `presence` is that of the
    pipeline file: by what a clip has a face and a voice. Caches where it is off lack it.
    """

    format: Literal["affectgpt features"] = "affectgpt features"
    version: Literal[1, 2] = VERSION
    dtype: DType
    batch_size: Annotated[int, Field(ge=1)]
    device: str
    reads: tuple[str, ...] = ("media",)
    media_version: int | None = None
    encoders: Annotated[dict[Annotated[str, Field(pattern=NAME)], EncoderSettings], Field(min_length=1)]
    versions: dict[str, str]
    presence: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _code_is_named(self) -> Self:
        complete = self.media_version is not None and all(node.code for node in self.encoders.values())
        if self.version > 1 and not complete:
            raise ValueError("a cache of version 2 names the code and the reader that made it")
        return self

    def to_json(self) -> dict[str, Any]:
        """The values of the file."""
        values = self.model_dump(mode="json", exclude={"presence"} if self.presence is None else None)
        if self.version == 1:
            del values["reads"], values["media_version"]
            for encoder in values["encoders"].values():
                del encoder["code"], encoder["files"]
        return values


def presence_settings(presence: PresenceConfig) -> dict[str, Any] | None:
    """What a cache keeps of a pipeline's `presence`: None where it is off."""
    return None if presence.off else presence.model_dump(mode="json")


def check_folder(folder: Path) -> None:
    """Raise DataError unless `folder` is a cache, empty, or absent."""
    if not folder.exists() and not folder.is_symlink():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    if names is None or (SETTINGS not in names and not names <= _BEFORE_SETTINGS):
        content = "a file" if names is None else join_names(sorted(names)[:5])
        raise DataError(
            "there is something else at this place",
            where=str(folder),
            found=content,
            expected="a cache, or a new folder",
            hint="choose another folder",
        )


def write_or_check_settings(folder: Path, settings: CacheSettings) -> None:
    """Write the settings of a new cache, or compare them with those of an existing one.

    Raises DataError naming what differs, RunError when the disk refuses.
    """
    path = folder / SETTINGS
    if path.exists():
        _check_same(read_settings(folder), settings, path)
        return
    try:
        write_atomic(path, json.dumps(settings.to_json(), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise error_unwritable(path, error) from None


def read_settings(folder: Path) -> CacheSettings:
    """The settings of the cache in `folder`. Raises DataError when it is none, or was altered."""
    path = folder / SETTINGS
    if not path.is_file():
        raise DataError(
            "this is not a feature cache",
            where=str(folder),
            found=f"no {SETTINGS}",
            expected="a folder that encode wrote",
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST} bytes")
        return CacheSettings.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False, include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(
            "the settings of the cache cannot be read", where=str(path), found=reason[:300], hint=HINT_ENCODE_AGAIN
        ) from None


def _check_same(stored: CacheSettings, settings: CacheSettings, path: Path) -> None:
    if stored.version < VERSION:
        raise DataError(
            "this cache is of an earlier version of the program: clips that are read today do not go with it",
            where=str(path),
            found=f"version {stored.version}",
            expected=f"version {VERSION}",
            hint="encode into another folder; the clips that it has can still be trained on",
        )
    flat_stored, flat_settings = flatten(stored.to_json()), flatten(settings.to_json())
    # A release that changes the features raises `version` of the format; any other continues the cache.
    names = {*flat_stored, *flat_settings} - {"versions.affectgpt"}
    differing = sorted(key for key in names if flat_stored.get(key) != flat_settings.get(key))
    if differing:
        # Where an encoder's own options differ, its key differs too, which tells nobody anything.
        reported = [key for key in differing if not key.endswith(".key")] or differing
        raise DataError(
            "the cache was begun with other settings",
            where=str(path),
            found=", ".join(f"{key} {flat_stored.get(key)!r}"[:160] for key in reported[:8]),
            expected=", ".join(f"{key} {flat_settings.get(key)!r}"[:160] for key in reported[:8]),
            hint="run with the former settings to go on, or choose another folder for the output",
        )
