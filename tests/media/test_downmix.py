"""Several channels as one, and what is said where that loses sound."""

from __future__ import annotations

import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affectgpt.media import SAMPLE_RATE, Clip

VOICE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE, dtype=np.float32)

LAYOUTS = {
    "stereo": ["FL", "FR"],
    "quad": ["FL", "FR", "BL", "BR"],
    "5.1": ["FL", "FR", "FC", "LFE", "BL", "BR"],
    "7.1": ["FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"],
}
ALONE = {"FL": 0.7071, "FR": 0.7071, "FC": 1, "LFE": 0, "BL": 0.5, "BR": 0.5, "SL": 0.5, "SR": 0.5}
"""ITU-R BS.775-3, annex 4: what a channel adds to one."""


def peak(path: Path, resampling: str = "libav") -> tuple[float, list[str]]:
    clip = Clip.open(path)
    waveform = clip.waveform(resampling)  # type: ignore[arg-type]
    assert waveform is not None
    return float(np.abs(waveform).max()), [note for note in clip.notes if note != "no picture"]


def channels(layout: str, **levels: float) -> np.ndarray:
    return np.stack([levels.get(name, 0) * VOICE for name in LAYOUTS[layout]])


@pytest.mark.parametrize("resampling", ["libav", "sinc"])
@pytest.mark.parametrize(("layout", "name"), [(layout, name) for layout in ("5.1", "7.1") for name in LAYOUTS[layout]])
def test_one_channel_alone(tmp_path: Path, make: SimpleNamespace, layout: str, name: str, resampling: str) -> None:
    path = make.wave(tmp_path / "a.wav", channels(layout, **{name: 1}), SAMPLE_RATE, layout=layout)
    level, notes = peak(path, resampling)
    assert level == pytest.approx(0.5 * ALONE[name], abs=0.005)
    silent = ["the channels of the sound cancel each other: 1.0 s of their mix is nearly silent"]
    assert notes == (silent if name == "LFE" else [])


@pytest.mark.parametrize("layout", ["quad", "5.1", "7.1"])
def test_the_mix_is_as_loud_as_its_loudest_channel_not_louder(
    tmp_path: Path, make: SimpleNamespace, layout: str
) -> None:
    everywhere = channels(layout, **dict.fromkeys(LAYOUTS[layout], 1.9))
    assert peak(make.wave(tmp_path / "a.wav", everywhere, SAMPLE_RATE, layout=layout)) == (
        pytest.approx(0.95, abs=0.01),
        [],
    )
    # As in stereo.
    front = channels(layout, FL=1, FR=1)
    assert peak(make.wave(tmp_path / "b.wav", front, SAMPLE_RATE, layout=layout)) == (pytest.approx(0.5, abs=0.01), [])


@pytest.mark.parametrize(("layout", "levels"), [("stereo", {"FL": 1, "FR": -1}), ("quad", {"BL": 0.8, "BR": -0.75})])
def test_channels_that_cancel_are_noted(
    tmp_path: Path, make: SimpleNamespace, layout: str, levels: dict[str, float]
) -> None:
    wave_ = channels(layout, **levels)
    level, notes = peak(make.wave(tmp_path / "a.wav", wave_, SAMPLE_RATE, layout=layout))
    assert level < 0.05
    assert notes == ["the channels of the sound cancel each other: 1.0 s of their mix is nearly silent"]


def test_channels_that_cancel_for_a_while_are_noted(tmp_path: Path, make: SimpleNamespace) -> None:
    stereo = np.hstack([channels("stereo", FL=1, FR=1)] * 3 + [channels("stereo", FL=1, FR=-1)] * 2)
    _, notes = peak(make.wave(tmp_path / "a.wav", stereo, SAMPLE_RATE, layout="stereo"))
    assert notes == ["the channels of the sound cancel each other: 2.0 s of their mix is nearly silent"]


def test_channels_that_differ_do_not_cancel(tmp_path: Path, make: SimpleNamespace) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, SAMPLE_RATE)).astype(np.float32)
    one_sided = channels("stereo", FL=1)
    silence = np.zeros((2, SAMPLE_RATE), np.float32)
    for values in (noise, one_sided, silence):
        assert peak(make.wave(tmp_path / "a.wav", values, SAMPLE_RATE, layout="stereo"))[1] == []


@pytest.mark.parametrize(
    ("count", "place", "level", "order"),
    [
        (6, 2, 0.5, "the order of 5.1 and 7.1 in WAVE files was taken"),
        (8, 2, 0.5, "the order of 5.1 and 7.1 in WAVE files was taken"),
        (4, 2, 0.125, "they were averaged"),
        (10, 2, 0.05, "they were averaged"),
    ],
)
def test_channels_without_names(tmp_path: Path, count: int, place: int, level: float, order: str) -> None:
    values = np.zeros((SAMPLE_RATE, count), "<i2")
    values[:, place] = VOICE * 32767
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(count)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(values.tobytes())
    measured, notes = peak(tmp_path / "a.wav")
    assert measured == pytest.approx(level, abs=0.005)
    assert notes == [f"the file does not say which of its {count} channels is which: {order}"]
