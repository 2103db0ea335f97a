"""How a figure is called and written: x 100 with two decimals, its 95 % interval, or why there is none."""

from __future__ import annotations

from affectgpt.unibench.report.plain_text import label
from affectgpt.unibench.result import DatasetResult, Figure

NO_VALUE = "no value"
TITLES = {
    "f1": "F-score",
    "precision": "precision",
    "recall": "recall",
    "hit_rate": "hit rate",
    "hit_share": "hit share",
    "labels_per_clip": "labels per clip",
    "weighted_f1": "weighted F-score",
    "accuracy": "accuracy",
    "f1_level_2": "F-score, level 2",
    "precision_level_2": "precision, level 2",
    "recall_level_2": "recall, level 2",
    "f1_levels_1_2": "F-score, levels 1 and 2",
}
COUNTS = frozenset({"labels_per_clip"})
"""The figures that are means of numbers of things, not fractions: written as they are."""
WHOLE = frozenset({"clips"})
"""The figures that are numbers of things: written without decimals."""


def title(name: str) -> str:
    """What a reader calls the figure `name`."""
    return TITLES.get(name) or label(name.replace("_", " "))


def format_figure(name: str, value: float) -> str:
    """`value` as it is written: x 100 with two decimals, as it is for a count, without decimals for a whole one."""
    if name in WHOLE:
        return f"{value:,.0f}"
    return f"{value if name in COUNTS else 100 * value:.2f}"


def score(name: str, figure: Figure | None) -> str:
    """The value of `figure`, or [NO_VALUE][]."""
    return NO_VALUE if figure is None or figure.value is None else format_figure(name, figure.value)


def interval(name: str, figure: Figure | None) -> str:
    """The interval as `low to high`, "" when there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{format_figure(name, figure.low)} to {format_figure(name, figure.high)}"


def signed(figure: Figure) -> str:
    """A difference with its sign, x 100."""
    return NO_VALUE if figure.value is None else f"{100 * figure.value:+.2f}"


def p_value(value: float) -> str:
    """A p-value with three decimals, as `< 0.001` below that."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def why_no_value(result: DatasetResult, name: str) -> str:
    """Why the figure `name` of `result` has no value, as far as the result tells."""
    if name not in result.figures:
        return "it was not computed"
    if result.clips == 0:
        return "no clip counted"
    without = [wheel for wheel, values in result.per_wheel.items() if name in values and values[name] is None]
    if without:
        return f"it is the mean over wheels, and has no value on {', '.join(label(wheel) for wheel in without)}"
    parts = [result.figures.get(part) for part in ("precision", "recall")]
    if name == "f1" and all(part is not None and part.value == 0 for part in parts):
        return "precision and recall are both 0"
    return "it is not defined for these clips"
