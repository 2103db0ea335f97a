"""What a reader found, with what is wrong beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.data.example import Example
from affectgpt.registry.errors import DataError, Problem


@dataclass(frozen=True)
class Survey:
    """The clips of one data set that can be opened, how many its tables name, and all problems."""

    examples: Sequence[Example]
    named: int
    problems: Sequence[Problem]

    def checked(self) -> list[Example]:
        """The clips. Raises DataError when there is any problem."""
        if self.problems:
            raise DataError.of(self.problems)
        return list(self.examples)
