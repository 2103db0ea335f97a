"""[Comparison][]: the figures of several variants over the same clips and seeds, as rows, a table, or a data frame."""

from __future__ import annotations

import html
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from affectgpt.ablation.jobs import JobResult
from affectgpt.ablation.metrics import Metric, PairedDifference, evaluate, paired_differences
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import ConfigError, PluginError, join_names
from affectgpt.registry.messages import did_you_mean

if TYPE_CHECKING:
    import pandas

RESAMPLES = 1000


@dataclass(frozen=True)
class ComparisonRow:
    """One variant trained with one seed: its `figures` on the test clips by name, and its trained `parameters`.

    `loss` is the mean of the last ten training losses, in nats; `seconds` is the time of training.
    """

    name: str
    seed: int
    figures: dict[str, float]
    parameters: int
    loss: float
    seconds: float


class Comparison:
    """`rows` by variant and seed, in the order of the call; `notes` name the plugins that were left out, and why."""

    def __init__(
        self, results: Sequence[JobResult], samples: Sequence[Sample], metric: Metric, notes: Sequence[str]
    ) -> None:
        self.rows = [
            ComparisonRow(
                result.name,
                result.seed,
                evaluate(metric, result.texts, samples),
                result.parameters,
                result.loss,
                result.seconds,
            )
            for result in results
        ]
        self.notes = list(notes)
        self._results = {(result.name, result.seed): result for result in results}
        self._samples, self._metric = samples, metric

    def table(self) -> str:
        """One line per variant: each figure's mean, least and most over the seeds, parameters, seconds of training."""
        lines = self._lines()
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def paired(self, baseline: str, *, resamples: int = RESAMPLES) -> list[PairedDifference]:
        """Each other variant less `baseline`, on the same clips and seeds, for each figure, with a 95 % interval.

        Raises ConfigError when there is no such row.
        """
        names = list(dict.fromkeys(row.name for row in self.rows))
        if baseline not in names:
            raise ConfigError(
                f"there is no row {baseline!r}",
                where="baseline",
                expected=f"one of {join_names(names)}",
                hint=did_you_mean(baseline, names),
            )
        differences = []
        for name in names:
            if name != baseline:
                seeds = [row.seed for row in self.rows if row.name == name and (baseline, row.seed) in self._results]
                texts = [(self._results[name, seed].texts, self._results[baseline, seed].texts) for seed in seeds]
                differences += paired_differences(
                    name, baseline, texts, self._samples, self._metric, resamples=resamples
                )
        return differences

    def to_frame(self) -> pandas.DataFrame:
        """One row per variant and seed. Raises PluginError when pandas is not installed."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise PluginError("a data frame needs pandas, which is not installed", hint="pip install pandas") from None
        return pandas.DataFrame(
            [
                {
                    "name": row.name,
                    "seed": row.seed,
                    **row.figures,
                    "parameters": row.parameters,
                    "loss": row.loss,
                    "seconds": row.seconds,
                }
                for row in self.rows
            ]
        )

    def __repr__(self) -> str:
        return "\n".join([self.table(), *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        head, *lines = self._lines()
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def _lines(self) -> list[list[str]]:
        figures = list(self.rows[0].figures)
        lines = [["", *figures, "parameters", "seconds"]]
        for name in dict.fromkeys(row.name for row in self.rows):
            rows = [row for row in self.rows if row.name == name]
            seconds = statistics.mean(row.seconds for row in rows)
            cells = [_mean_and_range([row.figures[figure] for row in rows]) for figure in figures]
            lines.append([name, *cells, f"{rows[0].parameters:,}", f"{seconds:.1f}"])
        return lines


def _mean_and_range(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"
