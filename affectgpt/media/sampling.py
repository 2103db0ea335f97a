"""Which frames of a clip are taken, and in what order of seeks they are decoded. Pure arithmetic, no media."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

Spread = Literal["middles", "released"]
"""Which pictures stand for a clip: see [Clip.frames][]."""

Resampling = Literal["libav", "sinc"]
"""How sound is brought to another rate: see [Clip.waveform][]."""

SEEK_COST = 4
"""What one seek costs, counted in packets decoded: the decoder is emptied and fills its reorder buffer again."""


def frame_times(duration: Fraction | int | float, count: int) -> list[Fraction]:
    """The middles of `count` equal parts of `[0, duration]`: target i is `(i + 0.5) * duration / count`.

    Exact (fractions), so that a frame whose stamp equals its target is never missed by a rounding error.
    Raises ValueError when `count` is below 1 or `duration` is negative.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, found {count}")
    if duration < 0:
        raise ValueError(f"duration must not be negative, found {duration}")
    part = Fraction(duration) / (2 * count)
    return [(2 * i + 1) * part for i in range(count)]


def frames_at(pts: Sequence[Fraction | int | float], targets: Iterable[Fraction | int | float]) -> list[int]:
    """For each target the index of the frame shown then: the last with `pts <= target`, else the first.

    `pts` is sorted. A frame that several targets fall on is returned once, so the indices strictly increase when
    the targets do, and may be fewer than the targets.
    """
    indices = (max(bisect_right(pts, target) - 1, 0) for target in targets)
    return sorted(set(indices)) if pts else []


def sample_indices_released(frame_count: int, count: int) -> list[int]:
    """The frames that the released AffectGPT takes of `frames`: number i at `i * frames / n`, rounded down, where n is
    the smaller of `frames` and `count`. In floats, as numpy's `arange` counts: a fraction may fall one frame short.
    """
    size = min(frame_count, count)
    return [int(index * (frame_count / size)) for index in range(size)]


def sample_indices(pts: Sequence[Fraction | int], length: Fraction | int, count: int, spread: Spread) -> list[int]:
    """The indices of the frames with the sorted stamps `pts` that stand for a picture of `length`."""
    if spread == "released":
        return sample_indices_released(len(pts), count)
    return frames_at(pts, [pts[0] + target for target in frame_times(length, count)])


def merge_ranges(ranges: Iterable[tuple[int, int]], seek_cost: int = SEEK_COST) -> list[tuple[int, int]]:
    """Join ranges `(first packet, last packet)`, both included, into the runs that are decoded in one go.

    Decoding through a gap costs its packets, jumping over it costs `seek_cost`: the cheaper is taken at each gap,
    the one before the first range too (a run that starts at packet 0 needs no seek).
    """
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        reached = joined[-1][1] if joined else -1
        if first - reached - 1 > seek_cost:
            joined.append((first, last))
        elif joined:
            joined[-1] = (joined[-1][0], max(reached, last))
        else:
            joined.append((0, last))
    return joined
