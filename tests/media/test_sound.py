from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affectgpt.media import SAMPLE_RATE, Clip, Limits
from affectgpt.registry.errors import MediaError


def loudest(waveform: np.ndarray) -> float:
    """The frequency in Hz with the most energy."""
    return float(np.abs(np.fft.rfft(waveform)).argmax() * SAMPLE_RATE / len(waveform))


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_tone_keeps_its_pitch_its_level_and_its_length(
    tmp_path: Path, make: SimpleNamespace, rate: int, layout: str
) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wave = 0.9 * np.sin(2 * np.pi * 500 * np.arange(rate) / rate, dtype=np.float32)
    waveform = Clip.open(make.wave(tmp_path / "a.wav", np.tile(wave, (channels, 1)), rate, layout=layout)).waveform()
    assert waveform is not None and waveform.dtype == np.float32 and waveform.shape == (SAMPLE_RATE,)
    assert loudest(waveform) == pytest.approx(500, abs=1)
    # Equal channels are as loud together as each alone: not the sum that a weighted downmix in float would give.
    assert np.abs(waveform[500:-500]).max() == pytest.approx(0.9, abs=0.01)


def test_channels_are_averaged(tmp_path: Path, make: SimpleNamespace) -> None:
    wave = np.stack([np.full(SAMPLE_RATE, 0.6, np.float32), np.full(SAMPLE_RATE, -0.2, np.float32)])
    waveform = Clip.open(make.wave(tmp_path / "a.wav", wave, SAMPLE_RATE, layout="stereo")).waveform()
    np.testing.assert_allclose(waveform, 0.2, atol=1e-6)


def test_compressed_sound_of_a_film(talking: Path) -> None:
    clip = Clip.open(talking)
    waveform = clip.waveform()
    assert waveform is not None and clip.waveform() is waveform
    assert loudest(waveform) == pytest.approx(440, abs=2)
    assert len(waveform) == pytest.approx(4 * SAMPLE_RATE, abs=SAMPLE_RATE // 10)
    assert np.sqrt((waveform**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_a_sound_that_begins_later_than_the_picture_is_preceded_by_silence(
    tmp_path: Path, make: SimpleNamespace
) -> None:
    tone = make.tone(1, delay=1.5, codec="pcm_s16le")
    waveform = Clip.open(make.media(tmp_path / "late.mkv", range(30), tone=tone)).waveform()
    assert waveform is not None
    assert len(waveform) == pytest.approx(2.5 * SAMPLE_RATE, abs=50)
    assert not waveform[: int(1.49 * SAMPLE_RATE)].any()
    assert np.abs(waveform[int(1.51 * SAMPLE_RATE) :]).max() == pytest.approx(0.5, abs=0.02)


def test_a_picture_that_begins_later_than_the_sound_keeps_its_time(tmp_path: Path, make: SimpleNamespace) -> None:
    clip = Clip.open(make.media(tmp_path / "late.mkv", range(10, 30), tone=make.tone(3, codec="pcm_s16le")))
    waveform, pictures = clip.waveform(), clip.frames(20)
    assert waveform is not None and pictures is not None
    assert len(waveform) == pytest.approx(3 * SAMPLE_RATE, abs=50) and waveform[:100].any()
    np.testing.assert_allclose(pictures.times, np.arange(10, 30) / 10, atol=0.011)


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path, make: SimpleNamespace) -> None:
    wave = np.full((1, SAMPLE_RATE), 0.25, np.float32)
    wave[0, 100:103] = np.nan, np.inf, -np.inf
    clip = Clip.open(make.wave(tmp_path / "nan.wav", wave, SAMPLE_RATE))
    waveform = clip.waveform()
    assert waveform is not None and not waveform[100:103].any() and (waveform[103:] == 0.25).all()
    assert "3 samples of the sound were not numbers: silence took their place" in clip.notes


def test_values_beyond_full_scale_are_cut_not_scaled(tmp_path: Path, make: SimpleNamespace) -> None:
    wave = np.array([[0.5, 1.2, -8, 3e38] * 4000], np.float32)
    clip = Clip.open(make.wave(tmp_path / "loud.wav", np.repeat(wave, 2, axis=0), SAMPLE_RATE, layout="stereo"))
    waveform = clip.waveform()
    assert waveform is not None
    np.testing.assert_array_equal(waveform[:3], np.array([0.5, 1, -1], np.float32))
    assert any("times full scale" in note for note in clip.notes)


def test_a_stream_without_one_sample_is_no_sound(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.wave(tmp_path / "empty.wav", np.zeros((1, 100), np.float32), SAMPLE_RATE)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"data") + 8])
    clip = Clip.open(path)
    assert clip.has_audio and clip.waveform() is None and "no sound could be decoded" in clip.notes


def test_an_implausible_sample_rate_is_refused(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.wave(tmp_path / "rate.wav", np.zeros((1, 1000), np.float32), SAMPLE_RATE)
    data = bytearray(path.read_bytes())
    data[24:28] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(MediaError, match="sample rate"):
        Clip.open(path).waveform()


def test_a_sound_longer_than_its_header_says_is_stopped(tmp_path: Path, make: SimpleNamespace) -> None:
    # ADTS states no length: libav guesses one from the bit rate of the first frames. Loud ones are put first here.
    noise = np.random.default_rng(0).normal(0, 0.3, (1, 2 * SAMPLE_RATE)).astype(np.float32)
    path = make.sound(tmp_path / "a.aac", np.hstack([noise, np.zeros((1, 60 * SAMPLE_RATE), np.float32)]), SAMPLE_RATE)
    clip = Clip.open(path, limits=Limits(max_seconds=40))
    assert clip.duration < 40
    with pytest.raises(MediaError, match="too long"):
        clip.waveform()


def test_the_voice_of_a_real_clip(clips: Path) -> None:
    waveform = Clip.open(clips / "astronaut_voice.mp4").waveform()
    assert waveform is not None and len(waveform) == pytest.approx(2.4 * SAMPLE_RATE, abs=SAMPLE_RATE // 10)
    assert 0.05 < np.abs(waveform).max() <= 1
