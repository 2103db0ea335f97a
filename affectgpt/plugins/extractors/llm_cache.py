"""Cached answers, one small file each, keyed by a hash of all that determines them. No torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from affectgpt.plugins.extractors.llm_answers import LLMAnswer
from affectgpt.registry.errors import ConfigError, RunError

_LARGEST = 1 << 20


def default_folder() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "affectgpt" / "extraction"


def answer_key(request: Mapping[str, Any]) -> str:
    """The SHA-256 of a question and of all settings that determine its answer."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=True).encode("ascii")).hexdigest()


class AnswerCache:
    """A folder of answers that several processes may use at once; None stores nothing.

    Writes are atomic, and a damaged file counts as absent. Raises ConfigError when the folder
    cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    "answers cannot be stored in this folder",
                    where=str(self.folder),
                    found=getattr(error, "strerror", None) or str(error),
                    hint="choose another with `cache: FOLDER`, or store none with `cache: off`",
                ) from error

    def find(self, key: str) -> LLMAnswer | None:
        """The answer of `key`, or None."""
        if self.folder is None:
            return None
        try:
            with self._path(key).open("rb") as file:
                content = file.read(_LARGEST + 1)
            row = json.loads(content.decode("utf-8")) if len(content) <= _LARGEST else None
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(row, dict) or row.get("key") != key:
            return None
        text, cut = row.get("text"), row.get("cut")
        return LLMAnswer(text, cut) if isinstance(text, str) and isinstance(cut, bool) else None

    def store(self, key: str, answer: LLMAnswer) -> None:
        """Write the answer of `key`. Raises RunError when it cannot be written."""
        if self.folder is None:
            return
        path = self._path(key)
        part = path.with_name(f".{uuid4().hex}.part")
        content = json.dumps({"key": key, "text": answer.text, "cut": answer.cut}).encode("ascii")
        try:
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            raise RunError(
                "an answer cannot be stored",
                where=str(path),
                found=error.strerror or str(error),
                hint="make room, choose another folder with `cache: FOLDER`, or store none with `cache: off`",
            ) from error
        finally:
            with suppress(OSError):
                part.unlink()

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        # Subfolders, because some file systems are slow with tens of thousands of files in one.
        return self.folder / key[:2] / f"{key}.json"
