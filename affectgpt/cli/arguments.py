"""Messages of public functions name their arguments; in a terminal the same things are options."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import typer

from affectgpt.cli.printable import printable
from affectgpt.registry.errors import Problem

_PACKAGE = str(Path(__file__).resolve().parent.parent)
# Options whose names differ from those of the arguments that they set.
_RENAMED = {"changes": "--set", "plugins": "--plugin", "model": "--model"}
_ASSIGNMENT = re.compile(r"(?<![\w.`-])([a-z][a-z_]*)=(True\b|\"[^\"]*\"|[0-9][\w.]*)?")


def options_of(app: typer.Typer, words: Sequence[str] = ()) -> dict[str, str]:
    """The options by the names of the arguments that they stand for: `{"out": "--out", ...}`.

    Those of the command that the command line `words` calls come first; its arguments without an option are named in
    capitals, as in its help.
    """
    program = command = typer.main.get_command(app)
    options: dict[str, str] = {}
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    for parameter in command.params:
        _add_names(options, parameter.name, parameter.opts, positional=True)
    commands = [program]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        for parameter in command.params:
            _add_names(options, parameter.name, parameter.opts)
    return {**_RENAMED, **options}


def _add_names(options: dict[str, str], name: str | None, names: Sequence[str], *, positional: bool = False) -> None:
    long_names = [option for option in names if option.startswith("--")]
    argument = (name or "").rstrip("_")
    if long_names:
        options.setdefault(argument, long_names[0])
    elif positional:
        options.setdefault(argument, argument.upper())


def with_options(problem: Problem, options: Mapping[str, str]) -> Problem:
    """`problem` with options in place of the arguments that it names: `resume=True` becomes `--resume`."""

    def option(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        if name not in options:
            return match[0]
        return options[name] if value in (None, "True") else f"{options[name]} {value.strip(chr(34))}"

    where = options.get(problem.where, problem.where)
    if where.startswith("changes: "):
        where = where.replace("changes:", options["changes"], 1)
    return replace(problem, where=where, hint=_ASSIGNMENT.sub(option, problem.hint))


def are_arguments_known(problem: Problem, options: Mapping[str, str]) -> bool:
    """Whether all arguments that `problem` names are in `options`."""
    arguments = {match[1] for match in _ASSIGNMENT.finditer(problem.hint)}
    return arguments <= options.keys() and (problem.where in options or not problem.where.isidentifier())


def show_warnings_as_lines() -> None:
    """Print each warning of this package as one line on standard error, and those of others as Python does."""
    show_as_python_does = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is None and category is UserWarning and filename.startswith(_PACKAGE):
            print(printable(f"warning: {message}"), file=sys.stderr, flush=True)
        else:
            show_as_python_does(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    warnings.filterwarnings("always", category=UserWarning, module=r"affectgpt\.")


def show_log_as_notes() -> None:
    """Print what this package logs as lines on standard error: the commit of a model on the Hub, for example."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    logger = logging.getLogger("affectgpt")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
