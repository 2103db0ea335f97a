"""`finished.json` in the run folder: written when training ends, before the model is saved.

If the model is missing, resuming the run takes no step and saves the model.
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
from affectgpt.core.saved.config import CONFIG, WEIGHTS
from affectgpt.core.saved.model import all_saved_tensors, read_adapter
from affectgpt.core.saved.tensors import read_tensors
from affectgpt.data.feature_cache.keys import tensors_digest
from affectgpt.files.atomic import write_atomic
from affectgpt.registry.errors import CheckpointError, RunError
from affectgpt.training.run_folder import FINISHED
from affectgpt.training.run_settings import INITIAL_WEIGHTS, check_same_settings, clips_digest, result_settings
from affectgpt.training.targets import LabelledClip

_MAX_BYTES = 64 * 2**20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Best(_Strict):
    """The lowest held-out loss, in nats, and its step."""

    step: int
    validation_loss: float


class RunResult(_Strict):
    """Result of a run: number of clips and steps, names of skipped clips, losses in nats; `resumed`: at which step."""

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


class _ResultRecord(_Strict):
    model: str
    weights: str
    settings: dict[str, Any]
    result: RunResult


class ResultFile:
    """Writes and reads the result of a run: its folder, its model's folder, and all settings that it depends on.

    `initial_weights` and `features` are digests of the saved model and of the feature cache it used, if any.
    """

    def __init__(
        self,
        run: Path,
        out: Path,
        config: PipelineConfig,
        clips: Mapping[str, Sequence[LabelledClip]],
        initial_weights: str = "",
        features: str = "",
    ) -> None:
        self.file, self.out = run / FINISHED, out
        self.model = os.path.relpath(os.path.realpath(out), os.path.realpath(run))
        digests = {what: clips_digest(group) for what, group in clips.items()}
        self.settings = {
            **result_settings(config),
            **digests,
            INITIAL_WEIGHTS: initial_weights,
            "feature cache": features,
        }

    def write(self, pipeline: Pipeline, result: RunResult) -> None:
        """Write the result, with a digest of the weights of `pipeline`. Raises RunError when it cannot be written."""
        weights = _hash(all_saved_tensors(pipeline))
        record = _ResultRecord(model=self.model, weights=weights, settings=self.settings, result=result)
        try:
            write_atomic(self.file, record.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise RunError(
                "the result of the run cannot be written",
                where=str(self.file),
                found=error.strerror or "",
                hint="make room, then resume",
            ) from error

    def read(self) -> RunResult | None:
        """The result of a finished run; None when it is not finished or its model is missing.

        Raises ConfigError when it had other settings or clips, CheckpointError when the model has other weights.
        """
        try:
            status = self.file.stat()
            has_model = all((self.out / name).is_file() for name in (CONFIG, WEIGHTS))
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES or not has_model:
                return None
            record = _ResultRecord.model_validate(json.loads(self.file.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError, RecursionError):
            return None
        is_own_model = _hash({**read_tensors(self.out / WEIGHTS), **read_adapter(self.out)}) == record.weights
        # Run and model may both have been moved.
        if record.model != self.model and not is_own_model:
            return None
        check_same_settings(record.settings, self.settings, str(self.file.parent))
        if not is_own_model:
            raise CheckpointError(
                "this is not the model that the run ended with",
                where=str(self.out),
                found=f"other weights than those in {self.file}",
                hint="move it away, and resume: the run's own model is saved again",
            )
        return record.result


def _hash(tensors: Mapping[str, Tensor]) -> str:
    return tensors_digest(
        {name: tensor.detach().float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    )
