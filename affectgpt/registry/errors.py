"""The errors that a reader is meant to see: what went wrong, where, what was expected, what to do.

Every exception that this project raises on purpose derives from [AffectGPTError][]. The command line
prints its text without a traceback and exits with its `exit_code`: 2 for bad input, 1 for work that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the words of its reader.

    `what` is a sentence; `where` names the file, line, option or clip; `found` and `expected` are values;
    `hint` says what to do next. All but `what` may be empty. `path` is the place of the setting inside the node whose
    plugin raised the error, such as `("lora", "targets", 0)`: who knows where the node stands names its line.
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    hint: str = ""
    path: tuple[str | int, ...] = field(default=(), kw_only=True)

    def texts(self) -> dict[str, str]:
        """The texts by their names, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "path"}

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        rows = [("found", self.found), ("expected", self.expected), ("to do", self.hint)]
        return "\n".join([head, *(f"  {label}: {text}" for label, text in rows if text)])


class AffectGPTError(Exception):
    """Base of all errors raised on purpose; holds one or more [Problem][]s."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        found: str = "",
        expected: str = "",
        hint: str = "",
        path: tuple[str | int, ...] = (),
    ) -> None:
        self.problems: tuple[Problem, ...] = (Problem(what, where, found, expected, hint, path=path),)
        super().__init__(str(self.problems[0]))

    @classmethod
    def from_problems(cls, problems: Sequence[Problem]) -> AffectGPTError:
        """An error that reports all of `problems` at once (at least one is required)."""
        if not problems:
            raise ValueError("an error needs at least one problem")
        error = cls(problems[0].what)
        error.problems = tuple(problems)
        error.args = ("\n".join(str(problem) for problem in problems),)
        return error


class ConfigError(AffectGPTError):
    """A pipeline file, or a value given on the command line, is wrong."""


class InterfaceError(ConfigError):
    """A plugin was connected to something that it does not accept."""


class PluginError(AffectGPTError):
    """A plugin is unknown, broken, declared twice, or declared wrongly."""


class MediaError(AffectGPTError):
    """A media file cannot be read, or is larger or longer than allowed."""


class DataError(AffectGPTError):
    """A dataset folder or a label file has the wrong content."""


class CheckpointError(AffectGPTError):
    """A saved model does not fit the pipeline that loads it."""


class RunError(AffectGPTError):
    """Work that started on good input failed."""

    exit_code = 1


def join_names(names: Iterable[str]) -> str:
    """`names`, sorted and joined for a message; "none" when there are none."""
    return ", ".join(sorted(names)) or "none"
