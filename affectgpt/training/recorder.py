"""Where the numbers of a run go: its log, and the trackers that the config names."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from affectgpt.core.config import PipelineConfig
from affectgpt.training import run_log as log
from affectgpt.training.run_folder import RunFolder
from affectgpt.training.run_settings import flat
from affectgpt.training.stepper import Step

PROJECT = "affectgpt"


class Recording:
    """The record of a run that begins after step `start`; the main process writes it.

    `losses` are those of all steps, of the ones before `start` too. What is opened is closed with `stack`.
    """

    def __init__(
        self, accelerator: Accelerator, run: RunFolder | None, start: int, config: PipelineConfig, stack: ExitStack
    ) -> None:
        self.accelerator = accelerator
        main = run is not None and accelerator.is_main_process
        self._log = stack.enter_context(log.opened(run.log, start)) if run is not None and main else None
        self.losses = self._shared(self._log.losses if self._log else [])
        if config.training.trackers:
            self._start_trackers(start, config)
            stack.callback(self._stop_trackers)
        self.began = self._last = time.perf_counter()

    def step(self, step: int, taken: Step, clips: int) -> None:
        """Note a step: 1, 2, ..."""
        self.losses.append(taken.loss)
        row = {"step": step, "loss": taken.loss, "lr": taken.lr, "grad_norm": taken.grad_norm, "clips": clips}
        # Overflow has no number in JSON.
        self._note(row | ({"grad_norm": None, "skipped": True} if taken.skipped else {}))

    def measurement(self, step: int, loss: float, lowest: bool) -> None:
        """Note a held-out loss."""
        self._note({"step": step, "validation_loss": loss, "lowest": lowest})

    def settle(self) -> None:
        """Have it all on the disk."""
        if self._log:
            self._log.settle()

    def _note(self, row: dict[str, Any]) -> None:
        now = time.perf_counter()
        row, self._last = {**row, "seconds": round(now - self._last, 4)}, now
        if self._log:
            self._log.append(row)
        numbers = {key: value for key, value in row.items() if type(value) is float}
        self.accelerator.log(numbers, step=row["step"])

    def _shared(self, losses: list[float]) -> list[float]:
        together = [losses]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(together)
        return together[0]

    def _start_trackers(self, start: int, config: PipelineConfig) -> None:
        known = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in flat(config.model_dump(mode="json")).items()
        }
        # What a killed run told TensorBoard of later steps is not shown.
        options = {"tensorboard": {"purge_step": start + 1}} if start else {}
        self.accelerator.init_trackers(PROJECT, config=known, init_kwargs=options)

    def _stop_trackers(self) -> None:
        # Not Accelerate's end_training(): it would also take the processes apart.
        for tracker in self.accelerator.trackers:
            tracker.finish()
