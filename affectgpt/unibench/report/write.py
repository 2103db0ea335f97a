"""Reports to files: all are there, whole, or none."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from affectgpt.files.atomic import write_all_atomic
from affectgpt.registry.errors import ConfigError, DataError, RunError, join_names
from affectgpt.unibench.report.scores_file import render_json
from affectgpt.unibench.result import BenchmarkResult

FORMATS = {"json": "scores.json", "markdown": "report.md", "latex": "report.tex", "html": "report.html"}
"""The formats and the names of their files."""
_UNUSABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
}


def write_reports(result: BenchmarkResult, folder: str | Path, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Write `result` into `folder` in `formats` (of [FORMATS][]); returns the files, in the order of `formats`.

    Everything is rendered before anything is written, and written before anything is put in its place. Raises
    ConfigError for an unknown format, DataError when the result cannot be rendered or the folder is none to write to,
    RunError when the disk fails.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError("there is no such format", found=join_names(unknown), expected=join_names(FORMATS))
    texts = {name: _renderer(name)(result) for name in formats}
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_all_atomic({folder / FORMATS[name]: text for name, text in texts.items()})
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise _failure(folder, error) from error
    return [folder / FORMATS[name] for name in texts]


def _failure(folder: Path, error: OSError | ValueError) -> DataError | RunError:
    what, reason = "the report cannot be written", getattr(error, "strerror", None) or str(error)
    if isinstance(error, ValueError) or error.errno in _UNUSABLE:
        return DataError(what, where=str(folder), found=reason, hint="choose another folder")
    return RunError(what, where=str(folder), found=reason, hint="check the disk and the space left, then run it again")


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
