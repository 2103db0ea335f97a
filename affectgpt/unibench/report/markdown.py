"""A result as GitHub-flavoured Markdown: tables, notes, worst clips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from affectgpt.unibench.report import published, summary
from affectgpt.unibench.report.plain_text import label, safe_text
from affectgpt.unibench.result import BenchmarkResult, DatasetResult

# Entities where renderers disagree about backslashes (HTML, math, table cells, mentions), backslashes elsewhere.
_ESCAPES = {character: f"&#{ord(character)};" for character in "&<>|\\$`"}
_ESCAPES |= {character: f"\\{character}" for character in "*_{}[]#+!~"}
# Renderers that link addresses look for them where entities are read already, but not across a comment.
_ESCAPES["@"] = "&#64;<!-- -->"
_TABLE = str.maketrans(_ESCAPES)


def escape(text: str) -> str:
    """`text` (on one line) so that Markdown shows it as it is: no link, no markup, no HTML, no new table cell."""
    escaped = text.translate(_TABLE).replace("://", "&#58;//")
    return re.sub(r"(?i)(www)\.", r"\1&#46;", escaped)


def render_markdown(result: BenchmarkResult) -> str:
    """`result` as one Markdown document."""
    parts = [f"# {escape(summary.heading(result))}"]
    warning = summary.warning(result)
    if warning:
        parts.append(f"> **Note.** {warning}")
    parts += [f"{summary.CAPTION}.", scores_table(result)]
    if notes := summary.notes(result):
        parts.append("\n".join(f"- {escape(note)}" for note in notes))
    if summary.uses_wheels(result):
        parts += [part for dataset in result.datasets if dataset.per_wheel for part in _per_wheel(dataset)]
    if summary.in_benchmark(result):
        parts += ["## Published scores", *([summary.NOT_COMPARABLE] if warning else []), _published()]
        parts += [f"Source: [{published.SOURCE}]({published.SOURCE_URL})."]
    if result.comparisons:
        table = _table(summary.COMPARISON_HEADS, summary.comparisons(result), "lllrlrr")
        parts += ["## Paired comparisons", f"{summary.COMPARED}.", table]
    parts += [part for dataset in result.datasets if dataset.worst for part in _worst(dataset)]
    settings = summary.provenance(result)
    if settings:
        parts += ["## Settings and versions", _table(["setting", "value"], settings, "ll")]
    return "\n\n".join(parts) + "\n"


def scores_table(result: BenchmarkResult) -> str:
    """The figures with their intervals, one row per data set, x 100."""
    heads = ["data set", "task", "metric", "score", "95 % interval", "other figures", "clips", "excluded"]
    shows_published = summary.shows_published(result)
    cells = [
        (
            row.title,
            row.task,
            row.metric,
            row.score,
            row.interval,
            "; ".join(row.other_lines()),
            f"{row.clips:,}",
            f"{row.excluded:,}",
            *([row.published] if shows_published else []),
        )
        for row in summary.rows(result)
    ]
    if summary.in_benchmark(result):
        score, interval = summary.mean(result)
        mean = [f"{published.REFERENCE.mean:.2f}"] if shows_published else []
        cells.append(("mean", "", "", score, interval, "", "", "", *mean))
    heads += [f"published: {published.REFERENCE.name}"] if shows_published else []
    return _table(heads, cells, "lllrllrrr"[: len(heads)])


def _published() -> str:
    rows = [
        (
            system.system,
            system.inputs,
            *(f"{system.scores[key]:.2f}" if system.scores else "" for key in published.TITLES),
            f"{system.mean:.2f}",
            "second-hand" if system.second_hand else "",
        )
        for system in (*published.SYSTEMS, *published.SECOND_HAND)
    ]
    return _table(["system", "input", *published.TITLES.values(), "mean", "note"], rows, "ll" + "r" * 10 + "l")


def _per_wheel(result: DatasetResult) -> list[str]:
    heads, rows = summary.per_wheel(result)
    title = f"## Per wheel: {escape(label(result.title))}"
    return [title, _table(heads, rows, "l" + "r" * (len(heads) - 1))]


def _worst(result: DatasetResult) -> list[str]:
    rows = [
        (
            label(clip.id),
            f"{100 * clip.score:.0f}",
            ", ".join(map(label, clip.true)) or "none",
            ", ".join(map(label, clip.predicted)) or "none",
            safe_text(clip.text),
        )
        for clip in result.worst
    ]
    heads = ["clip", "score", "true", "predicted", "text"]
    return [f"## Worst clips: {escape(label(result.title))}", _table(heads, rows, "lrlll")]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    rule = ["---:" if side == "r" else "---" for side in align]
    lines = [[escape(head) for head in heads], rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
