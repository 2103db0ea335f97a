"""Finished jobs of a comparison in a folder: one JSON file each, read again instead of running the job again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from affectgpt.ablation.jobs import JobResult
from affectgpt.files.atomic import write_atomic
from affectgpt.registry.errors import DataError, RunError
from affectgpt.training.run_settings import check_same_settings


class _StoredResult(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    seed: int
    texts: list[str]
    parameters: int
    loss: float
    seconds: float
    notes: list[str] = []
    settings: dict[str, object]


class StoredResults:
    """The results in `folder`; the folder is made when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, seed: int, settings: Mapping[str, object]) -> JobResult | None:
        """The result of a finished job; None when there is none.

        Raises ConfigError when it was made with other settings or clips, DataError when the file is damaged.
        """
        path = self._path(name, seed)
        if not path.is_file():
            return None
        try:
            stored = _StoredResult.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise DataError(
                "a result of the comparison cannot be read",
                where=str(path),
                found=str(error).splitlines()[0],
                hint="remove the file: the row is then run again",
            ) from None
        check_same_settings(stored.settings, settings, str(path))
        values = stored.model_dump(exclude={"settings"})
        return JobResult(**values)

    def write(self, result: JobResult, settings: Mapping[str, object]) -> None:
        """Store the result of a job. Raises RunError when the disk refuses."""
        path = self._path(result.name, result.seed)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps({**asdict(result), "settings": settings}, indent=1) + "\n")
        except OSError as error:
            raise RunError("a result cannot be stored", where=str(path), found=error.strerror or str(error)) from error

    def _path(self, name: str, seed: int) -> Path:
        # Two names may differ only in letters that a file's name does not hold.
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        plain = re.sub(r"[^\w.-]+", "-", name)[:60].strip("-.")
        return self.folder / f"{plain}-{digest}-seed{seed}.json"
