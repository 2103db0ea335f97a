"""What the released AffectGPT takes of a clip, which is not what a clip gives by default."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affectgpt.media import SAMPLE_RATE, Clip
from affectgpt.media.sampling import sample_indices_released


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (1, [0]),
        (5, [0, 1, 2, 3, 4]),
        (8, list(range(8))),
        (9, [0, 1, 2, 3, 4, 5, 6, 7]),
        (13, [0, 1, 3, 4, 6, 8, 9, 11]),
    ],
)
def test_which_frames(frames: int, expected: list[int]) -> None:
    assert sample_indices_released(frames, 8) == expected


def test_as_numpy_counts() -> None:
    for frames in range(1, 700):
        assert sample_indices_released(frames, 8) == np.arange(0, frames, frames / min(8, frames)).astype(int).tolist()


def test_as_recorded(shared: Path) -> None:
    file = shared / "oracle" / "inputs" / "frame_indices.json"
    for frames, expected in json.loads(file.read_text(encoding="utf-8"))["indices_n8"].items():
        indices = sample_indices_released(int(frames), 8)
        assert indices + indices[-1:] * (8 - len(indices)) == expected


def test_frames_and_faces_of_a_clip(talking: Path, make: SimpleNamespace, tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.arange(13, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3))
    clip = Clip.open(talking, faces=tmp_path / "faces.npy")
    frames, faces = clip.frames(8, "released"), clip.faces(8, "released")
    assert frames is not None and faces is not None
    assert [make.number_of(image) for image in frames.images] == [0, 5, 10, 15, 20, 25, 30, 35]
    np.testing.assert_allclose(frames.times, np.arange(8) / 2, atol=1e-6)
    assert [int(image[0, 0, 0]) for image in faces.images] == [0, 1, 3, 4, 6, 8, 9, 11]
    assert clip.frames(8, "released") is frames and clip.faces(8, "released") is faces
    default_frames, plain = clip.frames(8), clip.faces(8)
    assert default_frames is not None and plain is not None
    assert [make.number_of(image) for image in default_frames.images] == [2, 7, 12, 17, 22, 27, 32, 37]
    assert [int(image[0, 0, 0]) for image in plain.images] == [0, 2, 4, 5, 7, 8, 10, 12]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_sound_by_a_windowed_sinc(tmp_path: Path, make: SimpleNamespace, rate: int) -> None:
    import torch
    from torchaudio.functional import resample

    wave = np.random.default_rng(1).uniform(-0.5, 0.5, (2, rate)).astype(np.float32)
    clip = Clip.open(make.wave(tmp_path / "a.wav", wave, rate, layout="stereo"))
    expected = resample(torch.from_numpy(wave), rate, SAMPLE_RATE).mean(dim=0).numpy()
    waveform = clip.waveform("sinc")
    assert waveform is not None and waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, expected, atol=1e-6)
    assert clip.waveform("sinc") is waveform and clip.waveform() is not waveform
    # Where nothing is resampled, both are the samples themselves.
    assert np.array_equal(waveform, clip.waveform()) == (rate == SAMPLE_RATE)


def test_no_sound_by_any_filter(tmp_path: Path, make: SimpleNamespace) -> None:
    assert Clip.open(make.media(tmp_path / "mute.mkv", range(5))).waveform("sinc") is None
