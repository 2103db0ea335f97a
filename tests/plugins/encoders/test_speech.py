from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from safetensors.torch import load_file, save_file

from affectgpt.core.tokens import stack
from affectgpt.plugins.encoders.speech import Speech
from affectgpt.plugins.encoders.speech_config import SpeechConfig
from affectgpt.registry.errors import CheckpointError, InterfaceError

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def build(model: Path, **options: Any) -> Speech:
    config = SpeechConfig(input="audio", model=str(model), **options)
    return Speech(config, config.infer())


def read(file: Path) -> np.ndarray:
    with wave.open(str(file)) as sound:
        rate, channels = sound.getframerate(), sound.getnchannels()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, channels).T
    signal = torch.from_numpy(samples.astype(np.float32) / 32768)
    return torchaudio.functional.resample(signal, rate, 16000).mean(0).numpy()


@pytest.fixture(scope="module")
def hubert(oracle: Path) -> Path:
    return oracle / "hf_models" / "tiny-hubert"


def test_equal_to_the_released_encoder(
    oracle: Path, hubert: Path, fake_clip: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    shared = torch.load(oracle / "inputs" / "inputs_shared.pt", weights_only=True)
    encoder = build(hubert, normalize="batch", spread="released", padding="read")
    clips = [fake_clip(sound=read(oracle / "media" / "audio" / f"{name}.wav")) for name in ("s0", "s1")]
    batch = stack([encoder.prepare(clip) for clip in clips])
    assert batch is not None and batch.values.shape == (2, 8, 32000)
    calls: list[torch.Tensor] = []
    encoder.model.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    with torch.no_grad():
        tokens = encoder(batch)
    torch.testing.assert_close(calls[0], shared["hubert_input_values"], rtol=0, atol=2e-5)
    torch.testing.assert_close(tokens.values, shared["audio_encoder_hidden"], rtol=0, atol=1e-5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["s0", "s1", "s2", "s3"])
def test_released_windows_of_real_files(oracle: Path, hubert: Path, fake_clip: Callable[..., Any], name: str) -> None:
    expected = json.loads((oracle / "inputs" / "audio_cut.json").read_text())["files"][name]
    encoder = build(hubert, normalize="batch", spread="released", padding="read")
    windows = encoder.prepare(fake_clip(sound=read(oracle / "media" / "audio" / f"{name}.wav")))
    assert windows is not None
    np.testing.assert_allclose(windows.values.mean(1), expected["before_mean"], atol=1e-6)
    np.testing.assert_allclose(windows.values[:, :8], expected["before_first8"], atol=1e-6)
    np.testing.assert_allclose(windows.values[:, -8:], expected["before_last8"], atol=1e-6)


@pytest.mark.parametrize(("seconds", "count"), [(0.3, 1), (2.0, 1), (2.0 + 3 / 16000, 4), (2.5, 8), (30.0, 8)])
def test_never_more_windows_than_distinct_ones(
    hubert: Path, noise: Callable[..., Any], seconds: float, count: int
) -> None:
    prepared = build(hubert).prepare(noise(0, pictures=0, seconds=seconds))
    assert prepared is not None and prepared.values.shape == (count, 32000)
    assert prepared.times[-1] == pytest.approx(max(seconds - 1, seconds / 2), abs=1e-3)


def test_scopes_of_the_normalisation(hubert: Path, noise: Callable[..., Any], fake_clip: Callable[..., Any]) -> None:
    clip = noise(0, pictures=0, seconds=5)
    clip.sound[:32000] *= 0.1
    clip.sound += 0.5
    loud = fake_clip(sound=clip.sound * 3 + 1)
    for scope, dims in (("window", 1), ("clip", None)):
        encoder = build(hubert, normalize=scope)
        values, second = (encoder.prepare(each).values.double() for each in (clip, loud))  # type: ignore[union-attr]
        mean, var = (f(values) if dims is None else f(values, dim=dims) for f in (torch.mean, torch.var))
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-4)
        torch.testing.assert_close(var, torch.ones_like(var), rtol=0, atol=2e-2)
        torch.testing.assert_close(values, second, rtol=0, atol=1e-2)
    raw = build(hubert, normalize="none").prepare(clip)
    assert raw is not None and torch.equal(raw.values[0], torch.from_numpy(clip.sound[:32000]))


def test_only_the_batch_scope_depends_on_the_other_clips(hubert: Path, noise: Callable[..., Any]) -> None:
    quiet, loud = noise(0, pictures=0, seconds=3), noise(1, pictures=0, seconds=3)
    loud.sound *= 20
    change = {}
    for scope in ("clip", "batch"):
        encoder = build(hubert, normalize=scope, clips=2)
        with torch.no_grad():
            single, both = (
                encoder(stack([encoder.prepare(each) for each in clips])).values[0]  # type: ignore[arg-type]
                for clips in ([quiet], [quiet, loud])
            )
        change[scope] = float((single - both).abs().max())
    assert change["clip"] < 1e-5 and change["batch"] > 1e-3


def test_more_layers_than_the_model_has(hubert: Path) -> None:
    with pytest.raises(InterfaceError, match="hidden states"):
        SpeechConfig(input="audio", model=str(hubert), layers=6).infer()
    with pytest.raises(InterfaceError, match="speech model"):
        SpeechConfig(input="audio", model=str(hubert.parent / "tiny-clip")).infer()


def test_a_missing_weight_is_named_but_the_mask_embedding_may_be_absent(hubert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((hubert / "config.json").read_text())
    weights = load_file(hubert / "model.safetensors")
    weights.pop("masked_spec_embed", None)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    build(tmp_path)
    del weights["feature_projection.projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"feature_projection\.projection\.weight"):
        build(tmp_path)


def test_weight_norm_of_older_checkpoints_is_read(hubert: Path, tmp_path: Path, noise: Callable[..., Any]) -> None:
    (tmp_path / "config.json").write_text((hubert / "config.json").read_text())
    new = "parametrizations.weight.original"
    weights = load_file(hubert / "model.safetensors")
    assert any(new in key for key in weights)
    torch.save(
        {key.replace(new + "0", "weight_g").replace(new + "1", "weight_v"): value for key, value in weights.items()},
        tmp_path / "pytorch_model.bin",
    )
    encoders = build(hubert, clips=1), build(tmp_path, clips=1, allow_pickle=True)
    batch = stack([encoders[0].prepare(noise(0, pictures=0, seconds=2))])
    assert batch is not None
    with torch.no_grad():
        torch.testing.assert_close(encoders[0](batch).values, encoders[1](batch).values, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["hubert", "wavlm", "wav2vec2", "data2vec-audio"])
@pytest.mark.parametrize("stable", [False, True])
def test_the_last_hidden_state_is_the_output_of_the_model(family: str, stable: bool, noise: Callable[..., Any]) -> None:
    architecture = {**SIZES, "model_type": family, "do_stable_layer_norm": stable}
    config = SpeechConfig(input="audio", init="random", architecture=architecture, layers=1, clips=2)
    encoder = Speech(config, config.infer())
    batch = stack([encoder.prepare(noise(0, pictures=0, seconds=3))])
    assert batch is not None
    with torch.no_grad():
        expected = encoder.model(batch.values[0]).last_hidden_state.mean(1)
        torch.testing.assert_close(encoder(batch).values[0], expected)


# HuBERT base takes a norm over the whole window, WavLM large over each frame: silence beside a sound changes both.
NORMS = {
    "hubert": {"feat_extract_norm": "group"},
    "wavlm": {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
}


def random_model(family: str, **options: Any) -> Speech:
    torch.manual_seed(0)
    sizes = {**SIZES, **NORMS[family], "model_type": family}
    config = SpeechConfig(input="audio", init="random", layers=2, architecture=sizes, clips=2, **options)
    return Speech(config, config.infer()).eval()


def tokens_of(encoder: Speech, *clips: Any) -> Any:
    batch = stack([encoder.prepare(clip) for clip in clips])
    assert batch is not None
    with torch.no_grad():
        return encoder(batch)


@pytest.mark.parametrize("family", NORMS)
@pytest.mark.parametrize("tokens", ["pooled", "all"])
@pytest.mark.parametrize("normalize", ["window", "clip", "none"])
@pytest.mark.parametrize("seconds", [0.5, 0.73, 1.999])
def test_the_silence_that_fills_up_a_window_changes_nothing(
    noise: Callable[..., Any], family: str, tokens: str, normalize: str, seconds: float
) -> None:
    clip, other = noise(1, 0, seconds), noise(2, 0, 2.6)
    options = {"tokens": tokens, "normalize": normalize}
    alone = tokens_of(random_model(family, **options, seconds=seconds), clip)
    # In a window of 2 s, beside a clip that fills its two windows.
    wide = tokens_of(random_model(family, **options, seconds=2.0), other, clip)
    real = wide.mask[1]
    assert int(real.sum()) == alone.values.shape[1] and bool(alone.mask.all())
    torch.testing.assert_close(wide.values[1, real], alone.values[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(wide.times[1, real], alone.times[0])


@pytest.mark.parametrize("seconds", [0.005, 0.03, 0.1, 0.5, 1.0, 2.0, 3.0])
def test_a_sound_has_as_many_tokens_as_frames_at_their_times(noise: Callable[..., Any], seconds: float) -> None:
    tokens = tokens_of(random_model("hubert", tokens="all", seconds=2.0), noise(0, 0, seconds))
    per_window = (round(min(max(seconds, 0.025), 2.0) * 16000) - 400) // 320 + 1
    starts = [0.0] if seconds <= 2 else [0.0, seconds - 2.0]
    expected = torch.tensor([start + (frame + 0.5) * 0.02 for start in starts for frame in range(per_window)])
    torch.testing.assert_close(tokens.times[tokens.mask], expected, rtol=0, atol=1e-5)
    assert seconds < 0.025 or float(tokens.times[tokens.mask].max()) <= seconds


def test_statistics_over_the_batch_leave_the_silence_out(noise: Callable[..., Any]) -> None:
    encoder = random_model("hubert", normalize="batch", seconds=2.0)
    batch = stack([encoder.prepare(noise(1, 0, 0.5)), encoder.prepare(noise(2, 0, 2.0))])
    assert batch is not None
    values = encoder._normalise(batch.values[batch.mask])
    heard = values[~values.isnan()]
    assert len(heard) == 40000
    assert heard.mean().item() == pytest.approx(0, abs=1e-5) and heard.var().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("seconds", [0.5, 2.6])
def test_silence_is_read_where_it_is_asked_for(noise: Callable[..., Any], seconds: float) -> None:
    tokens = tokens_of(random_model("hubert", tokens="all", padding="read", seconds=2.0), noise(0, 0, seconds))
    windows = 1 if seconds < 2 else 2
    assert bool(tokens.mask.all()) and tokens.mask.shape == (1, 99 * windows)
    # Spread over the window around its middle, as before.
    assert tokens.times[0, :99].diff().mean().item() == pytest.approx(2.0 / 99, rel=1e-4)
