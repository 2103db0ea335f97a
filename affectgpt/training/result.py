"""A run that reached its end says so in its folder, before its model is saved: `finished.json`.

With the model it is finished; without it the run is resumed, which takes no step, and the model is saved.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from affectgpt.core.config import PipelineConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import CONFIG, WEIGHTS, read_adapter, weights_to_save
from affectgpt.core.saved.tensors import read_tensors
from affectgpt.data.feature_cache.keys import fingerprint
from affectgpt.files.atomic import write_whole
from affectgpt.registry.errors import CheckpointError, RunError
from affectgpt.training.run_settings import BEGAN_WITH, clips_digest, numbers_of, refuse_other
from affectgpt.training.targets import Told

FINISHED = "finished.json"
_MAX_BYTES = 64 * 2**20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Best(_Strict):
    """The lowest held-out loss, in nats, and its step."""

    step: int
    validation_loss: float


class Result(_Strict):
    """What a run came to: numbers of clips and steps, names `skipped`, losses in nats; `resumed`: at which step."""

    model: str
    run: str
    clips: int
    skipped: list[str]
    steps: int
    seconds: float
    resumed: int
    first_loss: float
    last_loss: float
    best: Best | None


class _Note(_Strict):
    model: str
    weights: str
    settings: dict[str, Any]
    result: Result


class Ending:
    """The end of a run, to be noted and to be recognised: its folder, its model's, and all its numbers depend on.

    `began_with` and `features` are hashes of the saved model and of the feature cache that it began with, if any.
    """

    def __init__(
        self,
        run: Path,
        out: Path,
        config: PipelineConfig,
        clips: Mapping[str, Sequence[Told]],
        began_with: str = "",
        features: str = "",
    ) -> None:
        self.file, self.out = run / FINISHED, out
        self.model = os.path.relpath(os.path.realpath(out), os.path.realpath(run))
        digests = {what: clips_digest(some) for what, some in clips.items()}
        self.settings = {**numbers_of(config), **digests, BEGAN_WITH: began_with, "feature cache": features}

    def write(self, pipeline: Pipeline, result: Result) -> None:
        """Note that the run is over and that `pipeline` will be its model. Raises RunError if it cannot."""
        weights = _hash(weights_to_save(pipeline))
        note = _Note(model=self.model, weights=weights, settings=self.settings, result=result)
        try:
            write_whole(self.file, note.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise RunError(
                "the end of the run cannot be noted",
                where=str(self.file),
                found=error.strerror or "",
                hint="make room, then resume",
            ) from error

    def read(self) -> Result | None:
        """The result of the run that is over and has its model; None when it is not over, or the model not there.

        Raises ConfigError when it was made with other settings or clips, CheckpointError when the model is another.
        """
        try:
            found = self.file.stat()
            there = all((self.out / name).is_file() for name in (CONFIG, WEIGHTS))
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES or not there:
                return None
            note = _Note.model_validate(json.loads(self.file.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError, RecursionError):
            return None
        own = _hash({**read_tensors(self.out / WEIGHTS), **read_adapter(self.out)}) == note.weights
        # Both may have been moved.
        if note.model != self.model and not own:
            return None
        refuse_other(note.settings, self.settings, str(self.file.parent))
        if not own:
            raise CheckpointError(
                "this is not the model that the run ended with",
                where=str(self.out),
                found=f"other weights than {self.file} tells of",
                hint="move it away, and resume: the run's own model is saved again",
            )
        return note.result


def _hash(tensors: Mapping[str, Tensor]) -> str:
    return fingerprint(
        {name: each.detach().float() if each.is_floating_point() else each for name, each in tensors.items()}
    )
