"""A result as LaTeX: two tables for a paper, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from affectgpt.unibench.report import figures, published, summary
from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.result import BenchmarkResult

_PREAMBLE = "% Needs \\usepackage{booktabs,graphicx}; XeLaTeX or LuaLaTeX where a name is not in Latin letters."
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    "[": "{[}", "]": "{]}", "*": "{*}", "…": r"\dots{}", "\ufffd": "{?}",
})  # fmt: skip
_NOTHING = "--"


def escape(text: str) -> str:
    """`text` (on one line) so that LaTeX prints it as it is, in a cell or a caption: no command, no ligature."""
    return re.sub("-(?=-)", "-{}", text.translate(_ESCAPES))


def render_latex(result: BenchmarkResult) -> str:
    """`result` as two `table` environments: the score beside the published rows, then the other figures."""
    parts = [_PREAMBLE, _beside_published(result), _other_figures(result)]
    return "\n\n".join(parts) + "\n"


def _beside_published(result: BenchmarkResult) -> str:
    systems = published.SYSTEMS
    heads = ["", "This system", "95\\,\\% interval", *(escape(each.name) for each in systems)]
    lines = []
    for row in summary.rows(result):
        others = [f"{each.scores[row.column]:.2f}" if row.column else _NOTHING for each in systems]
        lines.append([escape(row.title), _score(row.score), _interval(row.interval), *others])
    score, interval = summary.mean(result)
    mean = ["Mean", _score(score), _interval(interval), *(f"{each.mean:.2f}" for each in systems)]
    caption = f"MER-UniBench scores of {escape(label(result.system))} ($\\times 100$)"
    if not result.official_wheels:
        caption += f". \\textbf{{{summary.UNOFFICIAL}}}"
    caption += f". Published rows: {escape(published.SOURCE)}"
    later = "; ".join(f"{escape(each.name)} {each.mean:.2f}" for each in published.SECOND_HAND)
    caption += f". Means reported later, second-hand: {later}."
    return _table(
        caption, "tab:unibench", heads, [*lines, None, mean], "l" + "r" * (len(heads) - 1), summary.notes(result)
    )


def _other_figures(result: BenchmarkResult) -> str:
    heads = ["Data set", "Primary metric", "Other figure", "Value", "95\\,\\% interval", "Clips", "Excluded"]
    lines = []
    for row in summary.rows(result):
        for place, (name, score, interval) in enumerate(row.others or (("", "", ""),)):
            first = (row.title, row.metric, f"{row.clips:,}", f"{row.excluded:,}") if place == 0 else ("", "", "", "")
            middle = [escape(name), _score(score), _interval(interval)]
            lines.append([escape(first[0]), escape(first[1]), *middle, first[2], first[3]])
    caption = f"Metrics, other figures ($\\times 100$, counts as they are) and clips of {escape(label(result.system))}."
    return _table(caption, "tab:unibench-figures", heads, lines, "lllrrrr", [])


def _score(score: str) -> str:
    return r"\emph{no value}" if score == figures.NO_VALUE else score


def _interval(interval: str) -> str:
    return interval or _NOTHING


def _table(
    caption: str, key: str, heads: Sequence[str], lines: Sequence[Sequence[str] | None], align: str,
    notes: Sequence[str],
) -> str:  # fmt: skip
    # None among the lines is a rule.
    body = ["\\midrule" if line is None else " & ".join(line) + r" \\" for line in lines]
    said = [r"\par\smallskip\raggedright\footnotesize", *(escape(note) for note in notes)] if notes else []
    return "\n".join([
        r"\begin{table}[tbp]", r"\centering", f"\\caption{{{caption}}}", f"\\label{{{key}}}",
        r"\resizebox{\linewidth}{!}{%", f"\\begin{{tabular}}{{{align}}}", r"\toprule",
        " & ".join(heads) + r" \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}}", *said, r"\end{table}",
    ])  # fmt: skip
