"""The folder of a training run: what is needed to follow it, and to go on with it.

log.jsonl        a row per step and per measurement
checkpoints/     the newest checkpoints
best/            the checkpoint of the lowest held-out loss, where there is validation
trackers/        what TensorBoard writes
"""

from __future__ import annotations

from pathlib import Path

from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.training.checkpoint_files import Saved, holds_complete, newest_checkpoint


class RunFolder:
    """The places in a run folder. Nothing is made until training writes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.log, self.trackers = self.path / "log.jsonl", self.path / "trackers"
        self.checkpoints, self.best = self.path / "checkpoints", self.path / "best"

    def refuse_used(self) -> None:
        """Raise ConfigError when there is a run here already."""
        if any(place.exists() for place in (self.log, self.checkpoints, self.best)):
            raise ConfigError(
                "there is a run in this folder already",
                where=str(self.path),
                hint="go on with it: --resume; or choose another folder: --run",
            )

    def newest(self) -> tuple[Saved | None, list[str]]:
        """Where to go on: the newest whole checkpoint (None: there is none), and why newer ones were passed over.

        Raises CheckpointError when a checkpoint cannot be read, or when all that were ever complete are damaged: a run
        that starts from nothing would remove them.
        """
        regular, notes = newest_checkpoint(self.checkpoints)
        best, other = newest_checkpoint(self.best)
        found = [each for each in (best, regular) if each is not None]
        if not found and any(map(holds_complete, (self.checkpoints, self.best))):
            raise CheckpointError(
                "none of the checkpoints of this run can be used",
                where=str(self.path),
                found="; ".join(notes + other),
                hint="put a whole one back, or move them away to start again",
            )
        return max(found, key=lambda each: each.step, default=None), notes + other

    def best_weights(self, step: int) -> Saved:
        """The checkpoint of the lowest held-out loss, which was measured at `step`. Raises CheckpointError."""
        found, notes = newest_checkpoint(self.best)
        if found is None or found.step != step:
            raise CheckpointError(
                f"the best weights, those of step {step}, are not there any more",
                where=str(self.best),
                found="; ".join(notes) or "no whole checkpoint of that step",
                hint="start again in another folder: --run",
            )
        return found
