"""A [Score][]: what scoring predictions gave, as a number, a table, a report or a notebook's display."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.registry.errors import DataError, PluginError
from affectgpt.registry.messages import did_you_mean
from affectgpt.unibench.report import figures as texts
from affectgpt.unibench.result import BenchmarkResult, Comparison, DatasetResult, Figure, WorstClip

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions, RenderableType

NAN = float("nan")


@dataclass(frozen=True)
class PairedTest:
    """A paired test against other predictions for the same clips.

    `difference` is the primary figure minus theirs, a fraction; `low` and `high` bound its 95 % interval. `p_value` is
    that of an approximate randomization test (Noreen, 1989).
    """

    baseline: str
    difference: float
    low: float | None
    high: float | None
    p_value: float
    clips: int


class Score:
    """The figures of predictions on one set of clips: `float(score)` is the primary one, `score["recall"]` another.

    All are fractions (0.62, not 62) but counts such as `labels_per_clip`; NaN where a figure has no value.
    """

    def __init__(self, result: BenchmarkResult, files: Sequence[Path] = ()) -> None:
        self._result = result
        self.files = tuple(files)
        """The files of the reports, where the score was written to a folder."""

    @property
    def system(self) -> str:
        """The name of what was scored."""
        return self._result.system

    @property
    def task(self) -> str:
        """What the labels are: "fine-grained", "basic" or "sentiment"."""
        return self._dataset.task

    @property
    def primary(self) -> str:
        """The name of the figure that `float(score)` gives."""
        return self._dataset.primary

    @property
    def figures(self) -> dict[str, float]:
        """All figures by name."""
        return {name: _number(figure.value) for name, figure in self._figures().items()}

    @property
    def clips(self) -> int:
        """How many clips counted."""
        return sum(dataset.clips for dataset in self._result.datasets)

    @property
    def excluded(self) -> dict[str, int]:
        """Why clips did not count, and how many."""
        return _total([dataset.excluded for dataset in self._result.datasets])

    @property
    def counted_wrong(self) -> dict[str, int]:
        """Why clips counted as wrong without a usable prediction, and how many."""
        return _total([dataset.counted_wrong for dataset in self._result.datasets])

    @property
    def notes(self) -> dict[str, int]:
        """What else a reader must know, and of how many clips."""
        return _total([dataset.notes for dataset in self._result.datasets])

    @property
    def worst(self) -> tuple[WorstClip, ...]:
        """The clips that scored lowest, the lowest first."""
        clips = [clip for dataset in self._result.datasets for clip in dataset.worst]
        return tuple(sorted(clips, key=lambda clip: clip.score))

    @property
    def comparison(self) -> PairedTest | None:
        """The paired test against other predictions; None without them."""
        return next(iter(self._comparisons().values()), None)

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95 % interval of the figure `name`; None where there is none. Raises KeyError for an unknown name."""
        figure = self._figure(name)
        return None if figure.low is None or figure.high is None else (figure.low, figure.high)

    def __float__(self) -> float:
        return self[self.primary]

    def __getitem__(self, name: str) -> float:
        return _number(self._figure(name).value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures())

    def to_dict(self) -> dict[str, object]:
        """Everything that is known of the score, in plain dicts, lists and numbers, as `scores.json` holds it."""
        return self._result.as_json()

    def to_frame(self) -> pandas.DataFrame:
        """One row per figure: `figure`, `value`, `low`, `high`. Raises PluginError when pandas is not installed."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise PluginError("a data frame needs pandas, which is not installed", hint="pip install pandas") from None
        rows = [(name, figure.value, figure.low, figure.high) for name, figure in self._figures().items()]
        return pandas.DataFrame(rows, columns=["figure", "value", "low", "high"])

    def to_markdown(self) -> str:
        """The table of scores, x 100, in GitHub's Markdown."""
        from affectgpt.unibench.report.markdown import scores_table

        return scores_table(self._result) + "\n"

    def to_latex(self) -> str:
        """The tables of scores, x 100, for a paper; they need the packages booktabs and graphicx."""
        from affectgpt.unibench.report.latex import render_latex

        return render_latex(self._result)

    def save(self, folder: str | Path) -> list[Path]:
        """Write `scores.json`, `report.md`, `report.tex` and `report.html` into `folder`; gives their paths.

        Raises DataError when the folder cannot be written to, RunError when the disk fails.
        """
        from affectgpt.unibench.report.write import write_reports

        return write_reports(self._result, folder)

    def __repr__(self) -> str:
        numbers = [f"{name} {_brief(figure)}" for name, figure in self._figures().items()]
        return f"{type(self).__name__}({self._heading()}: {', '.join(numbers)})"

    def _repr_html_(self) -> str:
        cells = [
            (texts.title(name), texts.score(name, figure), texts.interval(name, figure))
            for name, figure in self._figures().items()
        ]
        lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in cells]
        head = "".join(f"<th>{name}</th>" for name in ("figure", "x 100", "95 % interval"))
        notes = {**self.excluded, **self.counted_wrong, **self.notes}
        footer = "".join(f"<br>{count:,}: {escape(note)}" for note, count in notes.items())
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        caption = f"<b>{escape(self.system)}</b>, {escape(self._heading())}"
        return f"<div>{caption}<table><tr>{head}</tr>{body}</table><small>{self._tests()}{footer}</small></div>"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from affectgpt.unibench.report.terminal import renderables

        yield from renderables(self._result)

    @property
    def _dataset(self) -> DatasetResult:
        return self._result.datasets[0]

    def _figures(self) -> Mapping[str, Figure]:
        return self._dataset.figures

    def _figure(self, name: str) -> Figure:
        figures = self._figures()
        if name not in figures:
            raise KeyError(f"there is no figure {name!r}: {', '.join(figures)}. {did_you_mean(name, figures)}".strip())
        return figures[name]

    def _comparisons(self) -> dict[str, PairedTest]:
        return {each.dataset: _paired_test(each) for each in self._result.comparisons}

    def _heading(self) -> str:
        return f"{self.task}, {self.clips:,} clip{'s' * (self.clips != 1)}"

    def _tests(self) -> str:
        lines = [
            f"{escape(dataset)}: {test.difference:+.4f} against {escape(test.baseline)}, "
            f"p {texts.p_value(test.p_value)}"
            for dataset, test in self._comparisons().items()
        ]
        return "<br>".join(lines)


class BenchmarkScore(Score):
    """The scores on several data sets: `float(score)` is their mean, `score["meld"]` the primary figure of one.

    The mean exists only over all nine data sets of the benchmark; `datasets["meld"]` is the [Score][] on one of them.
    """

    @property
    def task(self) -> str:
        """What was scored: "benchmark"."""
        return "benchmark"

    @property
    def primary(self) -> str:
        """The name of the figure that `float(score)` gives."""
        return "mean"

    @property
    def datasets(self) -> dict[str, Score]:
        """The score on each data set, by its key."""
        return {
            dataset.dataset: Score(
                replace(
                    self._result,
                    datasets=(dataset,),
                    mean=None,
                    comparisons=tuple(each for each in self._result.comparisons if each.dataset == dataset.dataset),
                )
            )
            for dataset in self._result.datasets
        }

    def __float__(self) -> float:
        if self._result.mean is None:
            raise DataError(
                "there is no mean over the data sets",
                found=self._result.incomplete,
                hint='take those of data sets: score["meld"]',
            )
        return _number(self._result.mean.value)

    def _figures(self) -> Mapping[str, Figure]:
        mean = {} if self._result.mean is None else {"mean": self._result.mean}
        return mean | {each.dataset: each.figures.get(each.primary, Figure(None)) for each in self._result.datasets}

    def _heading(self) -> str:
        return f"{len(self._result.datasets)} data sets, {self.clips:,} clips"


def score_of(result: BenchmarkResult, files: Sequence[Path] = ()) -> Score:
    """The [Score][] of a result; a [BenchmarkScore][] when it holds several data sets."""
    return Score(result, files) if len(result.datasets) == 1 else BenchmarkScore(result, files)


def _paired_test(comparison: Comparison) -> PairedTest:
    figure = comparison.difference
    return PairedTest(
        comparison.other, _number(figure.value), figure.low, figure.high, comparison.p_value, comparison.clips
    )


def _number(value: float | None) -> float:
    return NAN if value is None else value


def _brief(figure: Figure) -> str:
    if figure.value is None:
        return texts.NO_VALUE
    bounds = "" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.4f}{bounds}"


def _total(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return total
