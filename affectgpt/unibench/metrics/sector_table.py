"""Labels -> sectors on all wheels and levels at once, as bits that numpy counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectgpt.registry.errors import DataError
from affectgpt.unibench.label_text import parse_labels, split_set
from affectgpt.unibench.wheels.official import OfficialWheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, WheelSet

_CACHE_SIZE = 200_000
_LONGEST_CACHED = 200
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
    columns = [Column(wheel.name, level, _at(wheel.sector, level)) for level in LEVELS for wheel in wheels.wheels]
    if isinstance(wheels, OfficialWheels):
        columns += [Column("forms", 0, wheels.form), Column("synonyms", 0, wheels.synonym)]
    return tuple(columns)


def _at(sector: Callable[[str, int], str | None], level: int) -> Callable[[str], str | None]:
    return lambda label: sector(label, level)


@dataclass(frozen=True, eq=False)
class LabelIndices:
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
        self._row_cache: dict[str, int] = {_MARK: _END}
        self._bits = np.zeros((0, len(self.columns)), dtype=np.uint64)
        self._starts = np.arange(len(self.columns))

    def read(self, cells: Sequence[Any]) -> LabelIndices:
        """Read written sets of labels (see [parse_labels][]; lower-cased and stripped here), one per clip.

        Raises DataError where the official scripts would stop, naming the position in `cells`.
        """
        numbered = self._numbers_at_once(cells)
        if numbered is None:
            numbered = self._numbers_one_by_one(cells)
        ends = np.flatnonzero(numbered == _END)
        clips = np.cumsum(numbered == _END)
        is_label = numbered >= 0
        return LabelIndices(numbered[is_label], np.bincount(clips[is_label], minlength=len(ends)))

    def _numbers_at_once(self, cells: Sequence[Any]) -> np.ndarray | None:
        """The rows of all labels, [_END] after each cell: cut as one text, which costs half. None where that cannot be.

        The same as [split_set][] of each cell: one bracket at either end falls, and `'`, `"` and `,` separate.
        """
        if not all(isinstance(cell, str) for cell in cells):
            return None
        text = _MARK + _MARK.join(cells) + _MARK
        if text.count(_MARK) != len(cells) + 1 or f"{_MARK}[{_MARK}" in text:
            return None
        text = text.replace(_MARK + "[", _MARK).replace("]" + _MARK, _MARK)
        text = text.replace("'", ",").replace('"', ",").replace(_MARK, f",{_MARK},")
        pieces = text.split(",")[2:-1]
        row_of_piece = self._row_cache
        try:
            numbers = [row_of_piece[piece] for piece in pieces]
        except KeyError:
            numbers = [self._number(piece) for piece in pieces]
        return np.array(numbers, dtype=np.int64)

    def _numbers_one_by_one(self, cells: Sequence[Any]) -> np.ndarray:
        numbers: list[int] = []
        for position, cell in enumerate(cells):
            try:
                pieces = split_set(cell) if isinstance(cell, str) else parse_labels(cell)
            except DataError as error:
                problem = error.problems[0]
                raise DataError(
                    problem.what, where=f"row {position}", found=problem.found, expected=problem.expected
                ) from None
            numbers += [_EMPTY if piece == _MARK else self._number(piece) for piece in pieces]
            numbers.append(_END)
        return np.array(numbers, dtype=np.int64)

    def sets(self, labels: LabelIndices) -> np.ndarray:
        """The sectors of each clip, as bits: uint64 `[clips, W]`. Reading more labels may widen W."""
        self._fill()
        bits = np.zeros((len(labels.counts), self._bits.shape[1]), dtype=np.uint64)
        nonempty = labels.counts > 0
        if nonempty.any():
            starts = np.concatenate([[0], np.cumsum(labels.counts[nonempty])[:-1]])
            bits[nonempty] = np.bitwise_or.reduceat(self._bits[labels.rows], starts, axis=0)
        return bits

    def sizes(self, sets: np.ndarray) -> np.ndarray:
        """How many sectors each set has in each column: `[clips, W]` -> int `[clips, C]`."""
        sizes: np.ndarray = np.add.reduceat(np.bitwise_count(sets).astype(np.int64), self._starts, axis=1)
        return sizes

    def indicator(self, sets: np.ndarray, column: int) -> np.ndarray:
        """Which sectors of a column each set holds: `[clips, W]` -> bool `[clips, S]`, S as many as were met so far."""
        count = len(self.sectors[column])
        index = np.arange(count)
        words = sets[:, self._starts[column] + index // _WORD]
        is_member: np.ndarray = (words >> (index % _WORD).astype(np.uint64) & np.uint64(1)).astype(bool)
        return is_member

    def _number(self, piece: str) -> int:
        if len(piece) > _LONGEST_CACHED:
            label = piece.strip().lower()
            return self._row(label) if label else _EMPTY
        if piece not in self._row_cache:
            if len(self._row_cache) >= _CACHE_SIZE:
                self._row_cache = {_MARK: _END}
            label = piece.strip().lower()
            self._row_cache[piece] = self._row(label) if label else _EMPTY
        return self._row_cache[piece]

    def _row(self, label: str) -> int:
        sector_numbers = []
        for number, column in enumerate(self.columns):
            sector = column.sector(label)
            if sector is None:
                sector_numbers.append(-1)
                continue
            numbers = self._numbers[number]
            if sector not in numbers:
                numbers[sector] = len(numbers)
                self.sectors[number].append(sector)
            sector_numbers.append(numbers[sector])
        return self._rows.setdefault(tuple(sector_numbers), len(self._rows))

    def _fill(self) -> None:
        if len(self._bits) == len(self._rows):
            return
        words = [max(1, math.ceil(len(names) / _WORD)) for names in self.sectors]
        self._starts = np.concatenate([[0], np.cumsum(words)[:-1]])
        sector_numbers = np.array(list(self._rows), dtype=np.int64).reshape(len(self._rows), len(self.columns))
        self._bits = np.zeros((len(sector_numbers), sum(words)), dtype=np.uint64)
        rows, columns = np.nonzero(sector_numbers >= 0)
        numbers = sector_numbers[rows, columns]
        bit = np.uint64(1) << (numbers % _WORD).astype(np.uint64)
        self._bits[rows, self._starts[columns] + numbers // _WORD] = bit
