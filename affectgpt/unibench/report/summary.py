"""What every report says, before it is laid out: one row per data set, the mean, and the notes."""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.unibench.report import figures, published
from affectgpt.unibench.report.plain_text import label, safe_text
from affectgpt.unibench.result import BenchmarkResult, DatasetResult, Figure

UNOFFICIAL = "The emotion wheels are not the official ones: these numbers must not be compared with published ones."
CAPTION = "Scores x 100 with 95 % intervals"
PUBLISHED_EXTRACTOR = "those behind the published scores by Qwen2.5-7B-Instruct"
NOT_COMPARABLE = "Of the official wheels; not comparable with the scores above."
COMPARED = "The system minus the other on the same clips, primary figure x 100"
COMPARISON_HEADS = ("data set", "system", "against", "difference", "95 % interval", "p", "clips")


def in_benchmark(result: BenchmarkResult) -> bool:
    """Whether any data set of the result is one of the nine of the benchmark."""
    return any(published.column_of(each.dataset, each.title) for each in result.datasets)


def shows_published(result: BenchmarkResult) -> bool:
    """Whether published scores stand beside those of the result: for the benchmark, on its official wheels."""
    return result.official_wheels and in_benchmark(result)


def uses_wheels(result: BenchmarkResult) -> bool:
    """Whether wheels have a part in the scores: not when every data set has the task sentiment."""
    return not result.datasets or any(each.task != "sentiment" for each in result.datasets)


def warning(result: BenchmarkResult) -> str:
    """[UNOFFICIAL][] where it holds, else ""."""
    return UNOFFICIAL if uses_wheels(result) and not result.official_wheels else ""


def kind(result: BenchmarkResult) -> str:
    """What the scores are of: the benchmark, or just scores."""
    return "MER-UniBench" if in_benchmark(result) else "Scores"


def heading(result: BenchmarkResult) -> str:
    """The title of a report."""
    return f"{kind(result)}: {label(result.system)}"


@dataclass(frozen=True)
class SummaryRow:
    """The scores of one data set as text; texts from outside are plain, but not escaped for any format.

    `others`: the secondary figures as (name, score, interval); `published`: the score of [REFERENCE][], or "";
    `column`: the data set's key in the published table. Both are empty unless [shows_published][].
    """

    title: str
    task: str
    metric: str
    score: str
    interval: str
    other_figures: tuple[tuple[str, str, str], ...]
    clips: int
    excluded: int
    published: str
    column: str | None

    def other_lines(self) -> list[str]:
        """The secondary figures, one text each: name, score, interval in brackets."""
        return [
            f"{name} {score}" + (f" ({interval})" if interval else "") for name, score, interval in self.other_figures
        ]


def rows(result: BenchmarkResult) -> list[SummaryRow]:
    """One row per data set, in the order of the result."""
    with_published = shows_published(result)
    return [
        _row(dataset, published.column_of(dataset.dataset, dataset.title) if with_published else None)
        for dataset in result.datasets
    ]


def _row(result: DatasetResult, column: str | None) -> SummaryRow:
    primary = result.figures.get(result.primary)
    return SummaryRow(
        title=label(result.title),
        task=label(result.task),
        metric=figures.title(result.primary),
        score=figures.score(result.primary, primary),
        interval=figures.interval(result.primary, primary),
        other_figures=tuple(
            (figures.title(name), figures.score(name, figure), figures.interval(name, figure))
            for name, figure in result.figures.items()
            if name != result.primary
        ),
        clips=result.clips,
        excluded=sum(result.excluded.values()),
        published=f"{published.REFERENCE.scores[column]:.2f}" if column else "",
        column=column,
    )


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
        label(dataset.title)
        for dataset in result.datasets
        if (primary := dataset.figures.get(dataset.primary)) is None or primary.value is None
    ]
    if result.incomplete:
        reason = safe_text(result.incomplete)
        return reason if reason.startswith("no mean") else f"no mean: {reason}"
    return f"no mean: no value on {', '.join(without)}" if without else "no mean: data sets are missing"


def comparisons(result: BenchmarkResult) -> list[tuple[str, ...]]:
    """The paired comparisons as texts under [COMPARISON_HEADS][]."""
    titles = {dataset.dataset: dataset.title for dataset in result.datasets}
    return [
        (
            label(titles.get(comparison.dataset, comparison.dataset)),
            label(result.system),
            label(comparison.other),
            figures.signed(comparison.difference),
            figures.interval("difference", comparison.difference),
            figures.p_value(comparison.p_value),
            f"{comparison.clips:,}",
        )
        for comparison in result.comparisons
    ]


def notes(result: BenchmarkResult) -> list[str]:
    """What a reader must know beside the numbers: missing values, excluded clips. [UNOFFICIAL][] is not among them."""
    lines = []
    if in_benchmark(result) and (reason := why_no_mean(result)):
        lines.append(f"{reason[0].upper()}{reason[1:]}.")
    for dataset in result.datasets:
        for name in dict.fromkeys([dataset.primary, *dataset.figures]):
            figure = dataset.figures.get(name)
            if figure is None or figure.value is None:
                why = figures.why_no_value(dataset, name)
                lines.append(f"{label(dataset.title)}: no value of {figures.title(name)}: {why}.")
    about: dict[str, list[str]] = {}
    for dataset in result.datasets:
        for note in _about_clips(dataset):
            about.setdefault(note, []).append(label(dataset.title))
    lines += [f"{', '.join(titles)}: {note}." for note, titles in about.items()]
    if sizes := list(filter(None, map(_other_size, result.datasets))):
        lines.append(f"Clips instead of those of the published test sets: {', '.join(sizes)}.")
    return lines + _about_extractor(result)


def _about_extractor(result: BenchmarkResult) -> list[str]:
    extractor = result.settings.get("extractor")
    name = extractor.get("plugin") if isinstance(extractor, dict) else None
    if not result.official_wheels or name is None or name == "llm":
        return []
    return [f"Labels were read out of the texts by {label(str(name))}; {PUBLISHED_EXTRACTOR}."]


def _about_clips(result: DatasetResult) -> list[str]:
    kinds = {"excluded clips": result.excluded, "clips counted as wrong": result.counted_wrong, "note": result.notes}
    return [
        f"{kind}: {'; '.join(f'{safe_text(why, 200)}: {count:,}' for why, count in reasons.items())}"
        for kind, reasons in kinds.items()
        if reasons
    ]


def _other_size(result: DatasetResult) -> str:
    count = result.clips + sum(result.excluded.values())
    if result.expected is None or count == result.expected:
        return ""
    return f"{label(result.title)} {count:,} of {result.expected:,}"


def provenance(result: BenchmarkResult) -> list[tuple[str, str]]:
    """Settings and versions as (name, value), nested settings named by their path."""
    rows = [(label(name), safe_text(value)) for name, value in _flat("", result.settings)]
    return rows + [(label(f"{name} version"), label(version)) for name, version in result.versions.items()]


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{path}.{key}" if path else str(key), inner)]
    if isinstance(value, list | tuple) and not any(isinstance(item, dict | list | tuple) for item in value):
        return [(path, ", ".join(str(item) for item in value) or "none")]
    return [(path, "none" if value is None else str(value))]
