from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.plugins.encoders.option_types import RATE
from affectgpt.plugins.encoders.windows import centres, cut_windows, window_starts


@given(st.integers(1, 200_000), st.integers(1, 64_000), st.integers(1, 40))
def test_windows_span_the_waveform_once(samples: int, length: int, count: int) -> None:
    starts = window_starts(samples, length, count)
    assert 1 <= len(starts) <= count
    assert starts == sorted(set(starts))
    if samples <= length:
        assert starts == [0]
    elif count > 1:
        assert starts[0] == 0 and starts[-1] + length == samples
        steps = np.diff(starts)
        assert steps.max() - steps.min() <= 1
    else:
        assert abs(2 * starts[0] + length - samples) <= 1
    if samples - length >= count - 1:
        assert len(starts) == count


@given(st.integers(1, 200_000), st.integers(1, 64_000), st.integers(1, 40))
def test_released_windows_lie_inside(samples: int, length: int, count: int) -> None:
    starts = window_starts(samples, length, count, "released")
    assert len(starts) == count and starts[0] == 0
    assert all(start >= 0 and start + length <= max(samples, length) for start in starts)


def test_released_windows_are_those_of_the_released_code(oracle: Path) -> None:
    ranges = json.loads((oracle / "inputs" / "audio_cut.json").read_text())["clip_sample_ranges_by_duration"]
    assert len(ranges) >= 7
    for duration, expected in ranges.items():
        starts = window_starts(round(float(duration) * RATE), 2 * RATE, 8, "released")
        assert [[start, start + 2 * RATE] for start in starts] == expected, duration


def test_cut_and_centres() -> None:
    waveform = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(cut_windows(waveform, 3, [0, 2, 4]), [[0, 1, 2], [2, 3, 4], [4, 0, 0]])
    np.testing.assert_allclose(centres(64_000, 32_000, [0, 32_000]), [1.0, 3.0])
    np.testing.assert_allclose(centres(8_000, 32_000, [0]), [0.25])
