"""A run that reached its end says so in its folder, before its model is saved: `finished.json`.

With the model it is finished; without it the run is resumed, which takes no step, and the model is saved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectgpt.core.config import PipelineConfig
from affectgpt.data.whole_file import write_whole
from affectgpt.registry.errors import RunError
from affectgpt.training.sameness import clips_digest, numbers_of, refuse_other
from affectgpt.training.targets import Told

FINISHED = "finished.json"
_MAX_BYTES = 2**20


def write_finished(
    run: Path, out: Path, config: PipelineConfig, clips: Mapping[str, Sequence[Told]], result: Mapping[str, Any]
) -> None:
    """Note that the run is over, with its `result`; its model will be at `out`. Raises RunError if it cannot."""
    told = {"model": os.path.relpath(out, run), "settings": _settings(config, clips), "result": dict(result)}
    try:
        write_whole(run / FINISHED, json.dumps(told, indent=1) + "\n")
    except OSError as error:
        raise RunError("the end of the run cannot be noted", where=str(run / FINISHED), found=error.strerror or "",
                       hint="make room, then resume") from error  # fmt: skip


def read_finished(
    run: Path, out: Path, config: PipelineConfig, clips: Mapping[str, Sequence[Told]]
) -> dict[str, Any] | None:
    """The result of the run that is over and has its model at `out`; None when there is no such run.

    Raises ConfigError when it was made with other settings or clips.
    """
    file = run / FINISHED
    try:
        if not (out / "pipeline.yaml").is_file() or file.stat().st_size > _MAX_BYTES:
            return None
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["model"] != os.path.relpath(out, run):
            return None
        before, result = dict(told["settings"]), dict(told["result"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    refuse_other(before, _settings(config, clips), str(run))
    return result


def _settings(config: PipelineConfig, clips: Mapping[str, Sequence[Told]]) -> dict[str, Any]:
    return {**numbers_of(config), **{what: clips_digest(some) for what, some in clips.items()}}
