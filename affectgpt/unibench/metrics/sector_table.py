"""Labels -> sectors on all wheels and levels at once, as indicator matrices that numpy counts in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectgpt.registry.errors import DataError
from affectgpt.unibench.labels import cut, label_list
from affectgpt.unibench.wheels.official import OfficialWheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, WheelSet

_REMEMBERED = 200_000
_EMPTY = -1


@dataclass(frozen=True)
class Column:
    """One comparison: a wheel at a level, or (official wheels only) "forms" or "synonyms", whose level is 0."""

    name: str
    level: int
    sector: Callable[[str], str | None]


def columns_of(wheels: WheelSet) -> tuple[Column, ...]:
    """Every wheel at level 1, every wheel at level 2, then the official scripts' two comparisons without a wheel."""
    found = [Column(wheel.name, level, _at(wheel.sector, level)) for level in LEVELS for wheel in wheels.wheels]
    if isinstance(wheels, OfficialWheels):
        found += [Column("forms", 0, wheels.form), Column("synonyms", 0, wheels.synonym)]
    return tuple(found)


def _at(sector: Callable[[str, int], str | None], level: int) -> Callable[[str], str | None]:
    return lambda label: sector(label, level)


@dataclass(frozen=True, eq=False)
class Written:
    """The labels of `clips` clips: `rows [P]` int32, each label's row in the table, `owners [P]`, its clip's index."""

    rows: np.ndarray
    owners: np.ndarray
    clips: int

    def labels_per_clip(self) -> np.ndarray:
        """How many labels are written for each clip, `[clips]`; one that is written twice counts twice."""
        return np.bincount(self.owners, minlength=self.clips)


class SectorTable:
    """Numbers labels by the sectors they lie in, once each; memory is bounded by the wheels, not by the texts.

    Labels with the same sectors everywhere share a row. What is remembered of single labels is forgotten when there
    are too many of them.
    """

    def __init__(self, wheels: WheelSet) -> None:
        self.columns = columns_of(wheels)
        self.sectors: list[list[str]] = [[] for _ in self.columns]
        """Per column the names of the sectors found so far, in the order of their numbers."""
        self._numbers: list[dict[str, int]] = [{} for _ in self.columns]
        self._rows: dict[tuple[int, ...], int] = {}
        self._table = np.empty((0, len(self.columns)), dtype=np.int32)
        self._known: dict[str, int] = {}

    def read(self, cells: Sequence[Any]) -> Written:
        """Read written sets of labels (see [label_list][]; lower-cased and stripped here), one per clip.

        Raises DataError where the official scripts would stop, naming the position in `cells`.
        """
        rows: list[int] = []
        owners: list[int] = []
        known = self._known
        for owner, cell in enumerate(cells):
            try:
                pieces = cut(cell) if isinstance(cell, str) else label_list(cell)
            except DataError as error:
                problem = error.problems[0]
                raise DataError(
                    problem.what, where=f"row {owner}", found=problem.found, expected=problem.expected
                ) from None
            for piece in pieces:
                row = known.get(piece)
                if row is None:
                    row = self._remember(piece)
                if row != _EMPTY:
                    rows.append(row)
                    owners.append(owner)
        return Written(np.array(rows, dtype=np.int32), np.array(owners, dtype=np.int32), len(cells))

    def indicator(self, written: Written, column: int) -> np.ndarray:
        """Which sectors of a column each clip has, bool `[clips, S]`; S is the number of sectors found so far."""
        self._fill()
        found = self._table[written.rows, column]
        on = np.zeros((written.clips, len(self.sectors[column])), dtype=bool)
        kept = found >= 0
        on[written.owners[kept], found[kept]] = True
        return on

    def _remember(self, piece: str) -> int:
        label = piece.strip().lower()
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        row = self._row(label) if label else _EMPTY
        self._known[piece] = row
        return row

    def _row(self, label: str) -> int:
        places = []
        for number, column in enumerate(self.columns):
            sector = column.sector(label)
            if sector is None:
                places.append(-1)
                continue
            numbers = self._numbers[number]
            if sector not in numbers:
                numbers[sector] = len(numbers)
                self.sectors[number].append(sector)
            places.append(numbers[sector])
        return self._rows.setdefault(tuple(places), len(self._rows))

    def _fill(self) -> None:
        if len(self._table) < len(self._rows):
            self._table = np.array(list(self._rows), dtype=np.int32).reshape(len(self._rows), len(self.columns))
