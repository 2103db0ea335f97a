"""What every report says, before it is laid out: one row per data set, the mean, and the notes."""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.unibench.report import figures, published
from affectgpt.unibench.report.plain_text import label, plain
from affectgpt.unibench.result import BenchmarkResult, DatasetResult, Figure

UNOFFICIAL = "The emotion wheels are not the official ones: these numbers must not be compared with published ones."
CAPTION = "Scores x 100 with 95 % intervals"


@dataclass(frozen=True)
class Row:
    """The scores of one data set as text; texts from outside are plain, but not escaped for any format.

    `others`: the secondary figures as (name, score, interval); `published`: the score of [REFERENCE][], or "";
    `column`: the data set's key in the published table.
    """

    title: str
    task: str
    metric: str
    score: str
    interval: str
    others: tuple[tuple[str, str, str], ...]
    clips: int
    excluded: int
    published: str
    column: str | None

    def other_lines(self) -> list[str]:
        """The secondary figures, one text each: name, score, interval in brackets."""
        return [f"{name} {score}" + (f" ({interval})" if interval else "") for name, score, interval in self.others]


def rows(result: BenchmarkResult) -> list[Row]:
    """One row per data set, in the order of the result."""
    return [_row(each) for each in result.datasets]


def _row(result: DatasetResult) -> Row:
    primary = result.figures.get(result.primary)
    column = published.column_of(result.dataset, result.title)
    return Row(
        title=label(result.title), task=label(result.task), metric=figures.title(result.primary),
        score=figures.score(result.primary, primary), interval=figures.interval(result.primary, primary),
        others=tuple(
            (figures.title(name), figures.score(name, figure), figures.interval(name, figure))
            for name, figure in result.figures.items()
            if name != result.primary
        ),
        clips=result.clips, excluded=sum(result.excluded.values()),
        published=f"{published.REFERENCE.scores[column]:.2f}" if column else "", column=column,
    )  # fmt: skip


def per_wheel(result: DatasetResult) -> tuple[list[str], list[list[str]]]:
    """The figures on each wheel: the heads of a table, and its rows."""
    names = list(dict.fromkeys(name for values in result.per_wheel.values() for name in values))
    rows = [
        [label(wheel), *(figures.score(name, Figure(values.get(name))) for name in names)]
        for wheel, values in result.per_wheel.items()
    ]
    return ["wheel", *(figures.title(name) for name in names)], rows


def mean(result: BenchmarkResult) -> tuple[str, str]:
    """The mean and its interval as text; [NO_VALUE][] and "" when there is none ([why_no_mean][])."""
    return figures.score("mean", result.mean), figures.interval("mean", result.mean)


def why_no_mean(result: BenchmarkResult) -> str:
    """Why the result has no mean, "no mean: ..."; "" when it has one."""
    if result.mean is not None and result.mean.value is not None:
        return ""
    without = [
        label(each.title)
        for each in result.datasets
        if (primary := each.figures.get(each.primary)) is None or primary.value is None
    ]
    if result.incomplete:
        said = plain(result.incomplete)
        return said if said.startswith("no mean") else f"no mean: {said}"
    return f"no mean: no value on {', '.join(without)}" if without else "no mean: data sets are missing"


def title_of(result: BenchmarkResult, dataset: str) -> str:
    """The title of the data set with the key `dataset`, or the key."""
    return label(next((each.title for each in result.datasets if each.dataset == dataset), dataset))


def notes(result: BenchmarkResult) -> list[str]:
    """What a reader must know beside the numbers: missing values, excluded clips. [UNOFFICIAL][] is not among them."""
    said = []
    if reason := why_no_mean(result):
        said.append(f"{reason[0].upper()}{reason[1:]}.")
    for each in result.datasets:
        for name in dict.fromkeys([each.primary, *each.figures]):
            figure = each.figures.get(name)
            if figure is None or figure.value is None:
                why = figures.why_no_value(each, name)
                said.append(f"{label(each.title)}: no value of {figures.title(name)}: {why}.")
    about: dict[str, list[str]] = {}
    for each in result.datasets:
        for note in _about_clips(each):
            about.setdefault(note, []).append(label(each.title))
    said += [f"{', '.join(titles)}: {note}." for note, titles in about.items()]
    if sizes := list(filter(None, map(_other_size, result.datasets))):
        said.append(f"Clips instead of those of the published test sets: {', '.join(sizes)}.")
    return said


def _about_clips(result: DatasetResult) -> list[str]:
    kinds = {"excluded clips": result.excluded, "clips counted as wrong": result.counted_wrong, "note": result.notes}
    return [
        f"{kind}: {'; '.join(f'{plain(why, 200)}: {count:,}' for why, count in reasons.items())}"
        for kind, reasons in kinds.items()
        if reasons
    ]


def _other_size(result: DatasetResult) -> str:
    found = result.clips + sum(result.excluded.values())
    if result.expected is None or found == result.expected:
        return ""
    return f"{label(result.title)} {found:,} of {result.expected:,}"


def provenance(result: BenchmarkResult) -> list[tuple[str, str]]:
    """Settings and versions as (name, value), nested settings named by their path."""
    said = [(label(name), plain(value)) for name, value in _flat("", result.settings)]
    return said + [(label(f"{name} version"), label(version)) for name, version in result.versions.items()]


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{path}.{key}" if path else str(key), inner)]
    if isinstance(value, list | tuple) and not any(isinstance(each, dict | list | tuple) for each in value):
        return [(path, ", ".join(str(each) for each in value) or "none")]
    return [(path, "none" if value is None else str(value))]
