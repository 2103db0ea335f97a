"""Writes the losses of a run to its log and to the trackers that the config names."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from affectgpt.core.config import PipelineConfig
from affectgpt.registry.messages import flatten
from affectgpt.training import run_log as log
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.stepper import StepResult

PROJECT = "affectgpt"


class Recorder:
    """Records a run that starts after step `start`; the main process writes.

    `losses` are those of all steps, also before `start`. `stack` closes the log and the trackers.
    """

    def __init__(
        self, accelerator: Accelerator, run: RunFolder | None, start: int, config: PipelineConfig, stack: ExitStack
    ) -> None:
        self.accelerator = accelerator
        main = run is not None and accelerator.is_main_process
        self._log = stack.enter_context(log.open_run_log(run.log, start)) if run is not None and main else None
        self.losses = self._broadcast(self._log.losses if self._log else [])
        if config.training.trackers:
            self._start_trackers(start, config)
            stack.callback(self._stop_trackers)
        self.start_time = self._last = time.perf_counter()

    def step(self, step: int, result: StepResult, clips: int) -> None:
        """Record step 1, 2, ..."""
        self.losses.append(result.loss)
        row = {"step": step, "loss": result.loss, "lr": result.lr, "grad_norm": result.grad_norm, "clips": clips}
        # JSON has no infinity.
        self._note(row | ({"grad_norm": None, "skipped": True} if result.skipped else {}))

    def measurement(self, step: int, loss: float, lowest: bool) -> None:
        """Record a held-out loss."""
        self._note({"step": step, "validation_loss": loss, "lowest": lowest})

    def flush(self) -> None:
        """Sync the log to the disk."""
        if self._log:
            self._log.flush()

    def _note(self, row: dict[str, Any]) -> None:
        now = time.perf_counter()
        row, self._last = {**row, "seconds": round(now - self._last, 4)}, now
        if self._log:
            self._log.append(row)
        numbers = {key: value for key, value in row.items() if type(value) is float}
        self.accelerator.log(numbers, step=row["step"])

    def _broadcast(self, losses: list[float]) -> list[float]:
        shared = [losses]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(shared)
        return shared[0]

    def _start_trackers(self, start: int, config: PipelineConfig) -> None:
        options_of_run = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in flatten(config.model_dump(mode="json")).items()
        }
        # Hides steps after `start` that a killed run wrote to TensorBoard.
        options = {"tensorboard": {"purge_step": start + 1}} if start else {}
        self.accelerator.init_trackers(PROJECT, config=options_of_run, init_kwargs=options)

    def _stop_trackers(self) -> None:
        # Not Accelerate's end_training(): it would also destroy the process group.
        for tracker in self.accelerator.trackers:
            tracker.finish()
