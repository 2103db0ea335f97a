"""What a training returns: the trained pipeline, its losses, and where they were saved."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from affectgpt.core.pipeline import Pipeline
from affectgpt.training.result import Best, RunResult


class TrainResult:
    """What a training did.

    - `pipeline`: the trained pipeline, in evaluation mode; of a finished run that was recognised it is loaded from
      `model` when it is first asked for.
    - `losses`: the mean cross-entropy of each step, in nats, since the first step of the run.
    - `seconds`: how long training took since it was `resumed`, the step that it was resumed at (0: never).
    - `best`: the lowest held-out loss, in nats, and its step, whose weights the pipeline has; None without validation.
    - `skipped`: the names of the clips that cannot be read and were left out.
    - `model`, `run`: the folders of the saved model and of the run; None when nothing was written there.
    - `finished_before`: the run was finished already, and nothing was trained.
    - `is_main_process`: of several processes that train together, whether this is the one that saves and prints.
    """

    def __init__(
        self,
        summary: RunResult,
        *,
        pipeline: Callable[[], Pipeline],
        losses: Callable[[], list[float]],
        model: Path | None,
        run: Path | None,
        finished_before: bool = False,
    ) -> None:
        self._summary, self._pipeline, self._losses = summary, pipeline, losses
        self.clips: int = summary.clips
        self.skipped: list[str] = summary.skipped
        self.steps: int = summary.steps
        self.seconds: float = summary.seconds
        self.resumed: int = summary.resumed
        self.first_loss: float = summary.first_loss
        self.last_loss: float = summary.last_loss
        self.best: Best | None = summary.best
        self.model, self.run, self.finished_before = model, run, finished_before
        self.is_main_process = is_main_process()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The trained pipeline."""
        return self._pipeline()

    @cached_property
    def losses(self) -> list[float]:
        """The mean cross-entropy of each step, in nats."""
        return self._losses()

    def to_dict(self) -> dict[str, object]:
        """The row that `affectgpt train --json` prints, as plain JSON values."""
        return self._summary.model_dump()

    def __repr__(self) -> str:
        return f"TrainResult({'; '.join(f'{name}: {value}' for name, value in self._rows())})"

    def _repr_html_(self) -> str:
        cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in self._rows())
        return f"<table>{''.join(cells)}</table>"

    def _rows(self) -> Sequence[tuple[str, str]]:
        resumed = f", resumed at step {self.resumed}" if self.resumed else ""
        rows = [
            ("steps", f"{self.steps} on {self.clips} clips in {self.seconds:.1f} s{resumed}"),
            ("loss", f"{self.first_loss:.3f} -> {self.last_loss:.3f} nats"),
        ]
        if self.best is not None:
            rows.append(("best", f"{self.best.validation_loss:.3f} nats held out, at step {self.best.step}"))
        if self.skipped:
            rows.append(("skipped", f"{len(self.skipped)} clips"))
        folders = (("model", self.model), ("run", self.run))
        return [*rows, *((name, str(folder)) for name, folder in folders if folder is not None)]


def is_main_process() -> bool:
    """Whether this process is the first of those that torchrun or `accelerate launch` started, or the only one."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"
