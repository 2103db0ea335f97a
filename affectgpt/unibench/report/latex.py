"""A result as LaTeX: tables for a paper, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from affectgpt.unibench.report import figures, published, summary
from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.result import BenchmarkResult

_PREAMBLE = "% Needs \\usepackage{booktabs,graphicx}; XeLaTeX or LuaLaTeX where a name is not in Latin letters."
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",
        "`": r"\textasciigrave{}",
        "'": r"\textquotesingle{}",
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        "…": r"\dots{}",
        "\ufffd": "{?}",
    }
)
_NOTHING = "--"


def escape(text: str) -> str:
    """`text` (on one line) so that LaTeX prints it as it is, in a cell or a caption: no command, no ligature."""
    return re.sub("-(?=-)", "-{}", text.translate(_ESCAPES))


def render_latex(result: BenchmarkResult) -> str:
    """`result` as `table` environments: scores beside the published ones, other figures, paired comparisons if any."""
    parts = [_PREAMBLE, _scores(result), _other_figures(result)]
    if result.comparisons:
        parts.append(_comparisons(result))
    return "\n\n".join(parts) + "\n"


def _scores(result: BenchmarkResult) -> str:
    systems = published.SYSTEMS if summary.shows_published(result) else ()
    heads = ["", "This system", "95\\,\\% interval", *(escape(system.name) for system in systems)]
    lines: list[list[str] | None] = []
    for row in summary.rows(result):
        published_scores = [f"{system.scores[row.column]:.2f}" if row.column else _NOTHING for system in systems]
        lines.append([escape(row.title), _score(row.score), _interval(row.interval), *published_scores])
    if summary.in_benchmark(result):
        score, interval = summary.mean(result)
        lines += [None, ["Mean", _score(score), _interval(interval), *(f"{system.mean:.2f}" for system in systems)]]
    align = "l" + "r" * (len(heads) - 1)
    return _table(_caption(result), "tab:unibench", heads, lines, align, summary.notes(result))


def _caption(result: BenchmarkResult) -> str:
    kind = "MER-UniBench scores" if summary.in_benchmark(result) else "Scores"
    sentences = [f"{kind} of {escape(label(result.system))} ($\\times 100$)."]
    if warning := summary.warning(result):
        sentences.append(f"\\textbf{{{warning}}}")
    if summary.shows_published(result):
        later = "; ".join(f"{escape(each.name)} {each.mean:.2f}" for each in published.SECOND_HAND)
        sentences += [f"Published rows: {escape(published.SOURCE)}.", f"Means reported later, second-hand: {later}."]
    return " ".join(sentences)


def _other_figures(result: BenchmarkResult) -> str:
    heads = ["Data set", "Primary metric", "Other figure", "Value", "95\\,\\% interval", "Clips", "Excluded"]
    lines = []
    for row in summary.rows(result):
        for index, (name, score, interval) in enumerate(row.other_figures or (("", "", ""),)):
            first = (row.title, row.metric, f"{row.clips:,}", f"{row.excluded:,}") if index == 0 else ("", "", "", "")
            middle = [escape(name), _score(score), _interval(interval)]
            lines.append([escape(first[0]), escape(first[1]), *middle, first[2], first[3]])
    caption = f"Metrics, other figures ($\\times 100$, counts as they are) and clips of {escape(label(result.system))}."
    return _table(caption, "tab:unibench-figures", heads, lines, "lllrrrr", [])


def _comparisons(result: BenchmarkResult) -> str:
    heads = ["Data set", "System", "Against", "Difference", "95\\,\\% interval", "$p$", "Clips"]
    lines = []
    for title, system, baseline, difference, interval, p, clips in summary.comparisons(result):
        names = [escape(title), escape(system), escape(baseline)]
        lines.append([*names, _minus(_score(difference)), _minus(_interval(interval)), escape(p), clips])
    caption = "Paired comparisons: the system minus the other on the same clips, primary figure ($\\times 100$)."
    return _table(caption, "tab:unibench-comparisons", heads, lines, "lllrrrr", [])


def _minus(numbers: str) -> str:
    return re.sub(r"-(?=\d)", "$-$", numbers)


def _score(score: str) -> str:
    return r"\emph{no value}" if score == figures.NO_VALUE else score


def _interval(interval: str) -> str:
    return interval or _NOTHING


def _table(
    caption: str,
    key: str,
    heads: Sequence[str],
    lines: Sequence[Sequence[str] | None],
    align: str,
    notes: Sequence[str],
) -> str:
    # None among the lines is a rule.
    body = ["\\midrule" if line is None else " & ".join(line) + r" \\" for line in lines]
    footnotes = [r"\par\smallskip\raggedright\footnotesize", *(escape(note) for note in notes)] if notes else []
    return "\n".join(
        [
            r"\begin{table}[tbp]",
            r"\centering",
            f"\\caption{{{caption}}}",
            f"\\label{{{key}}}",
            r"\resizebox{\linewidth}{!}{%",
            f"\\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *footnotes,
            r"\end{table}",
        ]
    )
