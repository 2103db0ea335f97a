from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectgpt.media.clip import Clip
from affectgpt.registry.errors import ConfigError

FRAMES = np.zeros((8, 4, 6, 3), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None, None]
SOUND = np.sin(np.arange(32_000) / 20).astype(np.float32)


def test_frames_are_those_in_the_middles_of_equal_parts() -> None:
    clip = Clip.from_arrays(frames=FRAMES, frame_rate=4)
    pictures = clip.frames(4)
    assert pictures is not None
    assert clip.duration == 2 and clip.has_video and not clip.has_audio and clip.notes == ["no sound"]
    assert [int(image[0, 0, 0]) for image in pictures.images] == [1, 3, 5, 7]
    assert pictures.times.tolist() == [0.25, 0.75, 1.25, 1.75] and pictures.times.dtype == np.float32
    few = Clip.from_arrays(frames=FRAMES[:2]).frames(4)
    assert few is not None and len(few.images) == 2
    assert clip.waveform() is None


def test_faces_come_as_they_are_and_are_looked_for_without() -> None:
    clip = Clip.from_arrays(faces=FRAMES, waveform=SOUND)
    faces = clip.faces(2)
    assert faces is not None and [int(image[0, 0, 0]) for image in faces.images] == [2, 6]
    assert clip.frames(2) is None and not clip.has_video and clip.has_audio
    without = Clip.from_arrays(frames=FRAMES)
    faces = without.faces(2)
    assert faces is not None and faces.images[0].shape == (4, 6, 3)
    assert any("face" in note for note in without.notes)
    assert Clip.from_arrays(waveform=SOUND).faces(2) is None


@pytest.mark.parametrize("resampling", ["libav", "sinc"])
def test_sound_is_brought_to_16_khz(resampling: Any) -> None:
    same = Clip.from_arrays(waveform=SOUND).waveform(resampling)
    assert same is not None and np.array_equal(same, SOUND)
    slow = Clip.from_arrays(waveform=SOUND, sample_rate=8000)
    waveform = slow.waveform(resampling)
    assert waveform is not None and waveform.dtype == np.float32
    assert slow.duration == 4 and abs(len(waveform) - 64_000) < 64
    assert np.abs(waveform[1000:60_000:2] - SOUND[500:30_000]).max() < 0.05


def test_a_clip_of_arrays_names_its_further_files() -> None:
    clip = Clip.from_arrays(waveform=SOUND, subtitle="hello", extra={"physio": "pulse.csv"})
    assert clip.extra("physio") == Path("pulse.csv") and clip.extra("gaze") is None
    assert clip.subtitle == "hello" and str(clip.path) == "<arrays>"


@pytest.mark.parametrize(
    ("arrays", "where"),
    [
        ({}, "Clip.from_arrays"),
        ({"frames": FRAMES.astype(np.float32)}, "frames"),
        ({"frames": FRAMES[0]}, "frames"),
        ({"frames": FRAMES[:0]}, "frames"),
        ({"faces": FRAMES[..., :1]}, "faces"),
        ({"waveform": SOUND.astype(np.float64)}, "waveform"),
        ({"waveform": SOUND[None]}, "waveform"),
        ({"waveform": SOUND * 2}, "waveform"),
        ({"waveform": SOUND * np.float32("nan")}, "waveform"),
        ({"frames": FRAMES, "frame_rate": 0}, "frame_rate"),
        ({"waveform": SOUND, "sample_rate": -1}, "sample_rate"),
        ({"waveform": SOUND, "sample_rate": 10}, "sample_rate"),
        ({"waveform": SOUND, "sample_rate": 44_100.5}, "sample_rate"),
        ({"waveform": SOUND, "sample_rate": "44100"}, "sample_rate"),
        ({"frames": FRAMES, "frame_rate": "25"}, "frame_rate"),
        ({"frames": FRAMES, "frame_rate": None}, "frame_rate"),
        ({"frames": FRAMES, "frame_rate": True}, "frame_rate"),
        ({"frames": [FRAMES[0], FRAMES[0, :2]]}, "frames"),
        ({"waveform": torch.zeros(8, requires_grad=True)}, "waveform"),
        ({"frames": FRAMES, "subtitle": None}, "subtitle"),
        ({"frames": FRAMES, "extra": 3}, "extra"),
        ({"frames": FRAMES, "extra": {"physio": 3}}, "extra"),
    ],
)
def test_arrays_of_another_kind_are_refused(arrays: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Clip.from_arrays(**arrays)
    assert caught.value.problems[0].where == where


def test_rates_may_be_scalars_of_numpy_and_arrays_tensors() -> None:
    clip = Clip.from_arrays(frames=torch.from_numpy(FRAMES), frame_rate=np.float32(4))  # type: ignore[arg-type]
    pictures = clip.frames(4)
    assert pictures is not None and pictures.times.tolist() == [0.25, 0.75, 1.25, 1.75]
    sound = Clip.from_arrays(waveform=SOUND, sample_rate=np.int64(32_000)).waveform()  # type: ignore[arg-type]
    assert sound is not None and abs(len(sound) - 16_000) < 100
