"""Reports to files: each is there whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from affectgpt.registry.errors import ConfigError, DataError, listed
from affectgpt.unibench.report.scores_file import render_json
from affectgpt.unibench.result import BenchmarkResult
from affectgpt.unibench.whole_file import write_whole

FORMATS = {"json": "scores.json", "markdown": "report.md", "latex": "report.tex", "html": "report.html"}
"""The formats and the names of their files."""


def write_reports(result: BenchmarkResult, folder: str | Path, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Write `result` into `folder` in `formats` (of [FORMATS][]); returns the files, in the order of `formats`.

    Everything is rendered before anything is written. Raises ConfigError for an unknown format, DataError when the
    result cannot be rendered or the folder cannot be written to.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError("there is no such format", found=listed(unknown), expected=listed(FORMATS))
    texts = {name: _renderer(name)(result) for name in formats}
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(folder / FORMATS[name], text)
    except OSError as error:
        raise DataError("the report cannot be written", where=str(folder), found=error.strerror or str(error),
                        hint="choose another folder") from error  # fmt: skip
    return [folder / FORMATS[name] for name in texts]


def _renderer(name: str) -> Callable[[BenchmarkResult], str]:
    # Jinja2 is loaded for the one format that needs it.
    if name == "json":
        return render_json
    if name == "markdown":
        from affectgpt.unibench.report.markdown import render_markdown

        return render_markdown
    if name == "latex":
        from affectgpt.unibench.report.latex import render_latex

        return render_latex
    from affectgpt.unibench.report.html import render_html

    return render_html
