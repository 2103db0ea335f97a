"""The checkpoints of a run: the newest ones, to resume from, and the one of the best weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.training.checkpoint_files import CheckpointData, write_checkpoint
from affectgpt.training.model_state import gather, restore
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_settings import check_same_settings
from affectgpt.training.validation import BestLoss


class Checkpoints:
    """Writes and reads the checkpoints of one run; without a run folder it holds only the best weights, in memory.

    All methods are called by every process. The first process writes and all read, so all need access to the folder.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
        run: RunFolder | None,
        settings: Mapping[str, Any],
    ) -> None:
        self.accelerator, self.model, self.optimizer = accelerator, model, optimizer
        self.run, self.settings = run, settings
        self._best: Mapping[str, Tensor] = {}

    def save(self, step: int, best_loss: BestLoss, keep: int) -> None:
        """Write a checkpoint and remove all but the `keep` newest. Raises RunError when the disk refuses."""
        if self.run is not None:
            self._write(self.run.checkpoints, step, best_loss, keep)

    def save_best(self, best_loss: BestLoss) -> None:
        """Save the current weights as the best; with a run folder, as a checkpoint that can be resumed."""
        if self.run is not None:
            self._write(self.run.best, best_loss.step, best_loss, 1)
            return
        gathered: list[Any] = [gather(self.model, self.optimizer)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(gathered)
        self._best = gathered[0]

    def restore_best(self, best_loss: BestLoss) -> None:
        """Load the weights of the lowest held-out loss. Raises CheckpointError when they are missing."""
        tensors = self._best
        if self.run is not None:
            self.accelerator.wait_for_everyone()
            tensors = self.run.best_weights(best_loss.step).tensors
        restore(self.model, self.optimizer, tensors)

    def resume(self) -> tuple[int, BestLoss, list[str]]:
        """Load the newest checkpoint; return its step, the best loss, and notes for the user.

        Raises ConfigError when the run was started with other settings or the processes find different checkpoints,
        CheckpointError when it cannot be read or does not fit the model.
        """
        if self.run is None:
            return 0, BestLoss(), []
        checkpoint, notes = self._newest(self.run)
        if checkpoint is None:
            return (
                0,
                BestLoss(),
                [*notes, f"there is no checkpoint in {self.run.path}: training starts from the beginning"],
            )
        where = str(self.run.path)
        check_same_settings(checkpoint.facts.get("settings"), self.settings, where)
        try:
            best_loss = BestLoss.from_state(checkpoint.facts["measured"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(dict(checkpoint.facts["scaler"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                "the checkpoint lacks values that this run needs",
                where=where,
                found=str(error)[:200],
                hint="start again in another folder: run=",
            ) from None
        if best_loss.step:
            self.run.best_weights(best_loss.step)
        restore(self.model, self.optimizer, checkpoint.tensors)
        return checkpoint.step, best_loss, notes

    def _newest(self, run: RunFolder) -> tuple[CheckpointData | None, list[str]]:
        # Each process reads for itself. From different weights, training would silently average them.
        failure: CheckpointError | None = None
        try:
            checkpoint, notes = run.newest()
            summary = "no checkpoint" if checkpoint is None else f"step {checkpoint.step}"
        except CheckpointError as error:
            failure, summary = error, error.problems[0].what
        summaries: list[str] = gather_object([summary])
        if failure is not None:
            raise failure
        if len(set(summaries)) > 1:
            raise ConfigError(
                "the processes do not see the same run folder",
                where=str(run.path),
                found="; ".join(f"process {number}: {text}" for number, text in enumerate(summaries)),
                hint="choose one that all of them see: run=",
            )
        return checkpoint, notes

    def _write(self, folder: Any, step: int, best_loss: BestLoss, keep: int) -> None:
        tensors = gather(self.model, self.optimizer)
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        facts = {
            "settings": self.settings,
            "measured": best_loss.state(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        write_checkpoint(folder, CheckpointData(step, tensors, facts), keep)
