"""Labels -> sectors on all wheels and levels at once, as bits that numpy counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectgpt.registry.errors import DataError
from affectgpt.unibench.label_text import cut, label_list
from affectgpt.unibench.wheels.official import OfficialWheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, WheelSet

_REMEMBERED = 200_000
_LONGEST = 200
_EMPTY, _END = -1, -2
_MARK = "\x1e"
_WORD = 64


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
    """The labels of some clips: `rows [P]`, each label's row in the table, clip after clip; `counts [clips]` of them.

    `counts` is also how many labels are written for each clip; one that is written twice counts twice.
    """

    rows: np.ndarray
    counts: np.ndarray


class SectorTable:
    """Numbers labels by the sectors they lie in; memory is bounded by the wheels, not by the texts.

    Labels with the same sectors everywhere share a row. A row is a string of bits, one per sector of each column, every
    column in 64-bit words of its own, so that sets are united, intersected and counted by numpy's bit operations. What
    is remembered of single labels is forgotten when there are too many of them.
    """

    def __init__(self, wheels: WheelSet) -> None:
        self.columns = columns_of(wheels)
        self.sectors: list[list[str]] = [[] for _ in self.columns]
        """Per column the names of the sectors met so far, in the order of their numbers."""
        self._numbers: list[dict[str, int]] = [{} for _ in self.columns]
        self._rows: dict[tuple[int, ...], int] = {}
        self._known: dict[str, int] = {_MARK: _END}
        self._bits = np.zeros((0, len(self.columns)), dtype=np.uint64)
        self._starts = np.arange(len(self.columns))

    def read(self, cells: Sequence[Any]) -> Written:
        """Read written sets of labels (see [label_list][]; lower-cased and stripped here), one per clip.

        Raises DataError where the official scripts would stop, naming the position in `cells`.
        """
        numbered = self._numbers_at_once(cells)
        if numbered is None:
            numbered = self._numbers_one_by_one(cells)
        ends = np.flatnonzero(numbered == _END)
        clips = np.cumsum(numbered == _END)
        there = numbered >= 0
        return Written(numbered[there], np.bincount(clips[there], minlength=len(ends)))

    def _numbers_at_once(self, cells: Sequence[Any]) -> np.ndarray | None:
        """The rows of all labels, [_END] after each cell: cut as one text, which costs half. None where that cannot be.

        The same as [cut][] of each cell: one bracket at either end falls, and `'`, `"` and `,` separate.
        """
        if not all(isinstance(cell, str) for cell in cells):
            return None
        text = _MARK + _MARK.join(cells) + _MARK
        if text.count(_MARK) != len(cells) + 1 or f"{_MARK}[{_MARK}" in text:
            return None
        text = text.replace(_MARK + "[", _MARK).replace("]" + _MARK, _MARK)
        text = text.replace("'", ",").replace('"', ",").replace(_MARK, f",{_MARK},")
        pieces = text.split(",")[2:-1]
        known = self._known
        try:
            found = [known[piece] for piece in pieces]
        except KeyError:
            found = [self._number(piece) for piece in pieces]
        return np.array(found, dtype=np.int64)

    def _numbers_one_by_one(self, cells: Sequence[Any]) -> np.ndarray:
        numbers: list[int] = []
        for place, cell in enumerate(cells):
            try:
                pieces = cut(cell) if isinstance(cell, str) else label_list(cell)
            except DataError as error:
                problem = error.problems[0]
                raise DataError(
                    problem.what, where=f"row {place}", found=problem.found, expected=problem.expected
                ) from None
            numbers += [_EMPTY if piece == _MARK else self._number(piece) for piece in pieces]
            numbers.append(_END)
        return np.array(numbers, dtype=np.int64)

    def sets(self, written: Written) -> np.ndarray:
        """The sectors of each clip, as bits: uint64 `[clips, W]`. Reading more labels may widen W."""
        self._fill()
        bits = np.zeros((len(written.counts), self._bits.shape[1]), dtype=np.uint64)
        some = written.counts > 0
        if some.any():
            starts = np.concatenate([[0], np.cumsum(written.counts[some])[:-1]])
            bits[some] = np.bitwise_or.reduceat(self._bits[written.rows], starts, axis=0)
        return bits

    def sizes(self, sets: np.ndarray) -> np.ndarray:
        """How many sectors each set has in each column: `[clips, W]` -> int `[clips, C]`."""
        sizes: np.ndarray = np.add.reduceat(np.bitwise_count(sets).astype(np.int64), self._starts, axis=1)
        return sizes

    def indicator(self, sets: np.ndarray, column: int) -> np.ndarray:
        """Which sectors of a column each set holds: `[clips, W]` -> bool `[clips, S]`, S as many as were met so far."""
        count = len(self.sectors[column])
        place = np.arange(count)
        words = sets[:, self._starts[column] + place // _WORD]
        on: np.ndarray = (words >> (place % _WORD).astype(np.uint64) & np.uint64(1)).astype(bool)
        return on

    def _number(self, piece: str) -> int:
        if len(piece) > _LONGEST:
            label = piece.strip().lower()
            return self._row(label) if label else _EMPTY
        if piece not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known = {_MARK: _END}
            label = piece.strip().lower()
            self._known[piece] = self._row(label) if label else _EMPTY
        return self._known[piece]

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
        if len(self._bits) == len(self._rows):
            return
        words = [max(1, math.ceil(len(names) / _WORD)) for names in self.sectors]
        self._starts = np.concatenate([[0], np.cumsum(words)[:-1]])
        places = np.array(list(self._rows), dtype=np.int64).reshape(len(self._rows), len(self.columns))
        self._bits = np.zeros((len(places), sum(words)), dtype=np.uint64)
        rows, columns = np.nonzero(places >= 0)
        found = places[rows, columns]
        bit = np.uint64(1) << (found % _WORD).astype(np.uint64)
        self._bits[rows, self._starts[columns] + found // _WORD] = bit
