"""The folder of a training run: its log, its checkpoints, its trackers.

log.jsonl        a row per step and per measurement
checkpoints/     the newest checkpoints
best/            the checkpoint of the lowest held-out loss, where there is validation
trackers/        what TensorBoard writes
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.training.checkpoint_files import (
    CheckpointData,
    has_complete,
    newest_checkpoint,
    newest_facts,
    read_facts,
)

FINISHED = "finished.json"
"""Written when training has ended, before the model is saved."""


class RunFolder:
    """Paths in a run folder. Training creates them."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.log, self.trackers = self.path / "log.jsonl", self.path / "trackers"
        self.checkpoints, self.best = self.path / "checkpoints", self.path / "best"

    def check_unused(self) -> None:
        """Raise ConfigError when the folder holds a run."""
        if any(path.exists() for path in (self.log, self.checkpoints, self.best)):
            raise ConfigError(
                "there is a run in this folder already",
                where=str(self.path),
                hint="continue it: resume=True; or choose another folder: run=",
            )

    def settings(self) -> dict[str, Any]:
        """The settings that the run was begun with; {} where there is none, or no file of it can be read."""
        for facts in (newest_facts(self.checkpoints), newest_facts(self.best), read_facts(self.path / FINISHED)):
            if isinstance(facts.get("settings"), dict):
                return dict(facts["settings"])
        return {}

    def newest(self) -> tuple[CheckpointData | None, list[str]]:
        """The newest complete checkpoint, or None, and why newer ones were skipped.

        Raises CheckpointError when a checkpoint cannot be read, or when all that were ever complete are damaged: a run
        that starts from the beginning would remove them.
        """
        regular, notes = newest_checkpoint(self.checkpoints)
        best, best_notes = newest_checkpoint(self.best)
        checkpoints = [checkpoint for checkpoint in (best, regular) if checkpoint is not None]
        if not checkpoints and any(map(has_complete, (self.checkpoints, self.best))):
            raise CheckpointError(
                "none of the checkpoints of this run can be used",
                where=str(self.path),
                found="; ".join(notes + best_notes),
                hint="restore a complete one, or move them away to start again",
            )
        return max(checkpoints, key=lambda checkpoint: checkpoint.step, default=None), notes + best_notes

    def best_weights(self, step: int) -> CheckpointData:
        """The checkpoint of the lowest held-out loss, which was measured at `step`. Raises CheckpointError."""
        checkpoint, notes = newest_checkpoint(self.best)
        if checkpoint is None or checkpoint.step != step:
            raise CheckpointError(
                f"the best weights, those of step {step}, are missing",
                where=str(self.best),
                found="; ".join(notes) or "no complete checkpoint of that step",
                hint="start again in another folder: run=",
            )
        return checkpoint
