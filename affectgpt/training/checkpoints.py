"""What a run keeps of itself while it goes on: checkpoints to resume from, and the best weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.training.checkpoint_files import Saved, write_checkpoint
from affectgpt.training.model_state import gather, restore
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_settings import refuse_other
from affectgpt.training.validation import Measured


class Saver:
    """Writes and reads the checkpoints of one run; without a run folder only the best weights are kept, in memory.

    All methods are called by every process. The first writes; all read, so the folder is one that all of them see.
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

    def save(self, step: int, measured: Measured, keep: int) -> None:
        """Write a checkpoint, of which the `keep` newest stay. Raises RunError when the disk refuses."""
        if self.run is not None:
            self._write(self.run.checkpoints, step, measured, keep)

    def save_best(self, measured: Measured) -> None:
        """Keep the present weights as the best. With a run folder it is a whole checkpoint: a run may go on from it."""
        if self.run is not None:
            self._write(self.run.best, measured.step, measured, 1)
            return
        together: list[Any] = [gather(self.model, self.optimizer)]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(together)
        self._best = together[0]

    def put_best_back(self, measured: Measured) -> None:
        """Have the weights of the lowest held-out loss. Raises CheckpointError when they are not there any more."""
        tensors = self._best
        if self.run is not None:
            self.accelerator.wait_for_everyone()
            tensors = self.run.best_weights(measured.step).tensors
        restore(self.model, self.optimizer, tensors)

    def go_on(self) -> tuple[int, Measured, list[str]]:
        """Continue from the newest checkpoint: the step it was written at, the measurements, what is to be told.

        Raises ConfigError when the run was begun with other settings or the processes find different checkpoints,
        CheckpointError when it cannot be read or does not fit the model.
        """
        if self.run is None:
            return 0, Measured(), []
        saved, notes = self._newest(self.run)
        if saved is None:
            return 0, Measured(), [*notes, f"there is no checkpoint in {self.run.path}: training starts from nothing"]
        where = str(self.run.path)
        refuse_other(saved.facts.get("settings"), self.settings, where)
        try:
            measured = Measured.of(saved.facts["measured"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(dict(saved.facts["scaler"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                "the checkpoint lacks facts that this run needs",
                where=where,
                found=str(error)[:200],
                hint="start again in another folder: --run",
            ) from None
        if measured.step:
            self.run.best_weights(measured.step)
        restore(self.model, self.optimizer, saved.tensors)
        return saved.step, measured, notes

    def _newest(self, run: RunFolder) -> tuple[Saved | None, list[str]]:
        # Each process reads for itself. Of different weights, training would make a mean without a word.
        failure: CheckpointError | None = None
        try:
            saved, notes = run.newest()
            seen = "no checkpoint" if saved is None else f"step {saved.step}"
        except CheckpointError as error:
            failure, seen = error, error.problems[0].what
        everywhere: list[str] = gather_object([seen])
        if failure is not None:
            raise failure
        if len(set(everywhere)) > 1:
            raise ConfigError(
                "the processes do not see the same run folder",
                where=str(run.path),
                found="; ".join(f"process {number}: {each}" for number, each in enumerate(everywhere)),
                hint="choose one that all of them see: --run",
            )
        return saved, notes

    def _write(self, folder: Any, step: int, measured: Measured, keep: int) -> None:
        tensors = gather(self.model, self.optimizer)
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        facts = {
            "settings": self.settings,
            "measured": measured.facts(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        write_checkpoint(folder, Saved(step, tensors, facts), keep)
