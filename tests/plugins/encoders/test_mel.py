from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.log_mel import LogMel
from affectgpt.plugins.encoders.mel import Mel
from affectgpt.plugins.encoders.mel_config import MelConfig
from affectgpt.plugins.encoders.timm_mel import TimmMel
from affectgpt.plugins.encoders.timm_mel_config import TimmMelConfig


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16000)) / 16000).astype(np.float32)


@pytest.mark.parametrize("n_mels", [8, 40, 64, 80, 128])
@pytest.mark.parametrize("window_ms", [5.0, 25.0, 60.0])
def test_no_band_is_empty(n_mels: int, window_ms: float) -> None:
    assert (LogMel(n_mels, window_ms, 10.0).bands.amax(0) > 0).all()


def test_a_tone_lies_in_its_band_and_at_its_time() -> None:
    front = LogMel(64, 25.0, 10.0)
    low, high = front(tone(300)), front(tone(3000))
    assert low.shape == (64, 100)
    mel = [2595 * np.log10(1 + hertz / 700) for hertz in (300, 3000, 8000)]
    for result, expected in ((low, mel[0]), (high, mel[1])):
        band = int(result.mean(1).argmax())
        assert abs(band - (expected / mel[2] * 65 - 1)) <= 1
    silent_then_tone = front(np.concatenate([np.zeros(8000, np.float32), tone(300, 0.5)]))
    level = silent_then_tone.amax(0)
    assert level[:48].max() < level[52:].min()


def test_a_click_lies_in_the_frame_centred_on_it() -> None:
    click = np.zeros(16000, np.float32)
    click[8000] = 1
    assert int(LogMel(64, 25.0, 10.0)(click).mean(0).argmax()) == 50


def test_loudness_is_kept_and_silence_is_finite() -> None:
    front = LogMel(64, 25.0, 10.0)
    difference = front(tone(300)).amax(0)[5:95] - front(0.1 * tone(300)).amax(0)[5:95]
    torch.testing.assert_close(difference, torch.full_like(difference, np.log(100) / 4), rtol=0, atol=1e-3)
    assert torch.isfinite(front(np.zeros(16000, np.float32))).all()


def test_stacking_keeps_the_order(noise: Callable[..., Any]) -> None:
    config = MelConfig(input="audio", n_mels=16, stack=5, max_seconds=1)
    encoder = Mel(config, config.infer())
    clip = noise(0, pictures=0, seconds=1.0)
    prepared = encoder.prepare(clip)
    assert prepared is not None
    spectrogram = encoder.log_mel(clip.sound)
    torch.testing.assert_close(prepared.values[2], spectrogram[:, 10:15].T.reshape(-1))
    torch.testing.assert_close(prepared.times[:2], torch.tensor([0.025, 0.075]))
    assert config.infer() == TokenSpec(modality="audio", dim=80, tokens=20, exact=False)


def test_windows_are_spectrograms_of_the_pieces(noise: Callable[..., Any]) -> None:
    values = {"model": "resnet10t", "model_args": {"channels": [8, 8, 16, 24], "stem_width": 8}, "features": 24}
    config = TimmMelConfig(input="audio", init="random", windows=3, **values)
    encoder = TimmMel(config, config.infer())
    clip = noise(0, pictures=0, seconds=3.0)
    prepared = encoder.prepare(clip)
    assert prepared is not None and prepared.values.dtype == torch.float16
    assert prepared.values.shape == (3, 1, 64, 100)
    torch.testing.assert_close(prepared.times, torch.tensor([0.5, 1.5, 2.5]))
    piece = encoder.log_mel(clip.sound[16000:32000])
    torch.testing.assert_close(prepared.values[1, 0].float(), piece, rtol=0, atol=2e-3)
