"""Sums over clips, over resampled clips, and over clips exchanged between two systems: intervals and paired tests.

The random numbers of a clip come from a hash of its name, so they do not depend on the order of clips, on the size of
chunks or on the system that is scored: two systems are resampled alike, and nothing per clip is kept.

- Interval: Poisson bootstrap. Each clip enters a replicate Poisson(1) times (Chamandy et al., 2012, Estimating
  uncertainty for massive data streams); the interval is from the 2.5th to the 97.5th percentile of the replicates.
- Paired test: approximate randomization (Noreen, 1989). In each replicate every clip's outcomes are exchanged between
  the systems with probability 1/2; p is the share of replicates that differ at least as much as the systems do.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affectgpt.registry.errors import DataError
from affectgpt.unibench.metrics.metric import Metric
from affectgpt.unibench.result import Comparison, Figure

_LANES = 4
_DRAWS_AT_ONCE = 4_000_000
_ROUNDING = 1e-6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Resampling:
    """How many `replicates` (0: no intervals and no tests), drawn from which `seed`."""

    replicates: int = 1000
    seed: int = 0

    def draws(self, keys: np.ndarray, purpose: str) -> np.ndarray:
        """Uniform 16-bit numbers, uint16 `[n, R]`: one per key and replicate, decided by key, seed and purpose."""
        salt = np.frombuffer(_digest(f"{purpose} {self.seed}"), dtype="<u8").astype(np.uint64)
        steps = np.arange(1, math.ceil(self.replicates / _LANES) + 1, dtype=np.uint64) * _GOLDEN
        mixed = _mix(_mix(keys ^ salt)[:, None] + steps[None, :])
        return mixed.astype("<u8").view("<u2")[:, : self.replicates]


class TermSums:
    """Adds up a metric's terms clip by clip; gives its figures with intervals.

    `salt` keeps data sets apart. Only a `paired` tally can be compared with another: that is a second set of sums.
    """

    def __init__(self, metric: Metric, resampling: Resampling, salt: str = "", *, paired: bool = False) -> None:
        self.metric, self.resampling, self.salt, self.paired = metric, resampling, salt, paired
        self.clips = 0
        self._sums: np.ndarray | None = None
        self._resampled = self._exchanged = np.empty(0)
        self._keys = np.zeros(2, dtype=np.uint64)

    def add(self, names: Sequence[str], terms: np.ndarray) -> None:
        """Add the clips `names` with their `terms [n, K]` (see [Metric.terms][])."""
        if self._sums is None:
            shape = (self.resampling.replicates, terms.shape[1])
            self._sums, self._resampled, self._exchanged = np.zeros(terms.shape[1]), np.zeros(shape), np.zeros(shape)
        self._sums += terms.sum(axis=0)
        self.clips += len(names)
        if self.resampling.replicates:
            keys = np.frombuffer(b"".join(_digest(self.salt + name) for name in names), dtype="<u8").astype(np.uint64)
            self._keys += np.stack([keys, _mix(keys.copy())]).sum(axis=1, dtype=np.uint64)
            block = max(1, _DRAWS_AT_ONCE // self.resampling.replicates)
            for start in range(0, len(keys), block):
                part, numbers = keys[start : start + block], terms[start : start + block].astype(np.float32)
                # In single precision: it is twice as fast, and an interval needs no more.
                self._resampled += _POISSON[self.resampling.draws(part, "bootstrap")].T @ numbers
                if self.paired:
                    unchanged = self.resampling.draws(part, "exchange") < 2**15
                    self._exchanged += unchanged.T.astype(np.float32) @ numbers

    @property
    def sums(self) -> np.ndarray:
        """The sum of all terms, `[K]`. Raises DataError when no clip was added."""
        if self._sums is None:
            raise DataError("there is no clip to score", expected="at least one clip with a truth and a prediction")
        return self._sums

    def values(self) -> dict[str, float]:
        """The figures without intervals; NaN where one has no value."""
        return {name: float(value) for name, value in self.metric.figures(self.sums).items()}

    def replicates(self) -> dict[str, np.ndarray]:
        """The figures of each bootstrap replicate, `[R]`. An F-score without a hit is 0; NaN where there is no clip."""
        return self.metric.figures(self._resampled, empty=0.0)

    def figures(self) -> dict[str, Figure]:
        """The figures with their 95 % intervals."""
        replicates = self.replicates() if self.resampling.replicates else {}
        return {name: figure(value, replicates.get(name)) for name, value in self.values().items()}

    def has_same_clips(self, baseline: TermSums) -> bool:
        """Whether both added the same clips (known only with replicates)."""
        return self.clips == baseline.clips and bool((self._keys == baseline._keys).all())

    def compare_with(self, baseline: TermSums, dataset: str, name: str) -> Comparison:
        """The difference of the primary figure to `other`, its interval, and the paired test's p.

        Raises DataError when there are no replicates, and when the two did not score the same clips.
        """
        if not self.resampling.replicates or not (self.paired and baseline.paired):
            raise DataError("a paired test needs replicates of both", where=dataset, hint="pass resamples=1000")
        if not self.has_same_clips(baseline):
            raise DataError(
                "the two systems were not scored on the same clips",
                where=dataset,
                found=f"{self.clips} and {baseline.clips} clips",
                expected="the same clips in both",
                hint='give every clip a prediction in both, or pass unreadable="wrong"',
            )
        key = self.metric.primary
        score, baseline_score = (float(tally.metric.figures(tally.sums, empty=0.0)[key]) for tally in (self, baseline))
        spread = self.replicates()[key] - baseline.replicates()[key]
        exchanged_sums = self._exchanged + baseline.sums - baseline._exchanged
        baseline_sums = baseline._exchanged + self.sums - self._exchanged
        first, second = (self.metric.figures(sums, empty=0.0)[key] for sums in (exchanged_sums, baseline_sums))
        # Rounding must not make an exact tie look smaller than the difference that was seen.
        as_large = int((np.abs(first - second) >= abs(score - baseline_score) - _ROUNDING).sum())
        p_value = (as_large + 1) / (self.resampling.replicates + 1)
        return Comparison(dataset, name, figure(score - baseline_score, spread), p_value, self.clips)


def figure(value: float, replicates: np.ndarray | None) -> Figure:
    """A [Figure][] with the 95 % percentile interval of its replicates; None for NaN.

    Replicates without a value (a wheel on which none of their clips counts) are left out; when they are more than half,
    there is no interval.
    """
    if math.isnan(value):
        return Figure(None)
    defined = np.empty(0) if replicates is None else replicates[~np.isnan(replicates)]
    if replicates is None or not len(defined) or 2 * len(defined) < len(replicates):
        return Figure(value)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Figure(value, float(low), float(high))


def mean_figure(tallies: Mapping[str, TermSums]) -> Figure:
    """The plain mean of the primary figures, resampled in step."""
    values = [tally.values()[tally.metric.primary] for tally in tallies.values()]
    replicates = [tally.replicates()[tally.metric.primary] for tally in tallies.values() if tally.resampling.replicates]
    return figure(float(np.mean(values)), np.mean(replicates, axis=0) if replicates else None)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _mix(x: np.ndarray) -> np.ndarray:
    # The finaliser of SplitMix64 (Steele, Lea, Flood, 2014): each 64-bit result gives four 16-bit numbers.
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _poisson_table() -> np.ndarray:
    shares = np.array([math.exp(-1) / math.factorial(count) for count in range(12)])
    edges = np.cumsum(shares) * 2**16
    return np.searchsorted(edges, np.arange(2**16) + 0.5).astype(np.float32)


_POISSON = _poisson_table()
