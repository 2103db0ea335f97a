"""What every encoder keeps, whatever it computes: shapes, masks, times, independence from padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.tokens import MediaBatch, stack
from affectgpt.plugins.encoders.clip_vision_config import ClipVisionConfig
from affectgpt.plugins.encoders.mel_config import MelConfig
from affectgpt.plugins.encoders.open_clip_vision_config import OpenClipVisionConfig
from affectgpt.plugins.encoders.speech_config import SpeechConfig
from affectgpt.plugins.encoders.timm_mel_config import TimmMelConfig
from affectgpt.plugins.encoders.timm_vision_config import TimmVisionConfig
from affectgpt.registry.errors import InterfaceError

CLIP = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
    "projection_dim": 12,
}
SPEECH = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
RESNET = {"channels": [8, 8, 16, 24], "stem_width": 8}


def clip_vision(**options: Any) -> ClipVisionConfig:
    return ClipVisionConfig(init="random", architecture=CLIP, **{"input": "face", "frames": 4, **options})


def speech(family: str, **options: Any) -> SpeechConfig:
    values = {
        "input": "audio",
        "clips": 3,
        "seconds": 0.5,
        "layers": 2,
        "architecture": {**SPEECH, "model_type": family},
    }
    return SpeechConfig(init="random", **{**values, **options})


def timm_vision(**options: Any) -> TimmVisionConfig:
    values = {"input": "frame", "model": "resnet10t", "model_args": RESNET, "features": 24, "frames": 3, "size": 32}
    return TimmVisionConfig(**{"init": "random", **values, **options})


def timm_mel(**options: Any) -> TimmMelConfig:
    values = {
        "input": "audio",
        "model": "resnet10t",
        "model_args": RESNET,
        "features": 24,
        "n_mels": 32,
        "seconds": 0.5,
    }
    return TimmMelConfig(**{"init": "random", **values, **options})


def build(config: EncoderConfig) -> Any:
    from affectgpt.plugins.encoders.clip_vision import ClipVision
    from affectgpt.plugins.encoders.mel import Mel
    from affectgpt.plugins.encoders.speech import Speech
    from affectgpt.plugins.encoders.timm_mel import TimmMel
    from affectgpt.plugins.encoders.timm_vision import TimmVision

    classes: dict[type, type[nn.Module]] = {
        ClipVisionConfig: ClipVision,
        SpeechConfig: Speech,
        TimmVisionConfig: TimmVision,
        MelConfig: Mel,
        TimmMelConfig: TimmMel,
    }
    if isinstance(config, OpenClipVisionConfig):
        from affectgpt.plugins.encoders.open_clip_vision import OpenClipVision

        return OpenClipVision(config, config.infer())
    return classes[type(config)](config, config.infer())


ENCODERS: dict[str, Callable[[], EncoderConfig]] = {
    "clip-vision": clip_vision,
    "clip-vision-bfloat16": lambda: clip_vision(dtype="bfloat16"),
    "clip-vision-all": lambda: clip_vision(tokens="all"),
    "hubert-all": lambda: speech("hubert", tokens="all"),
    "timm-all": lambda: timm_vision(size=64, tokens="all", positions=4),
    "timm-mel-all": lambda: timm_mel(tokens="all", positions=2),
    "hubert": lambda: speech("hubert"),
    "wavlm": lambda: speech("wavlm", normalize="window"),
    "wav2vec2": lambda: speech("wav2vec2", normalize="none"),
    "data2vec-audio": lambda: speech("data2vec-audio"),
    "timm": timm_vision,
    "mel": lambda: MelConfig(input="audio", n_mels=16, stack=5, max_seconds=1.0),
    "mel-delta": lambda: MelConfig(input="audio", n_mels=16, stack=5, delta=True, max_seconds=3.0),
    "timm-mel": timm_mel,
    "open-clip": lambda: OpenClipVisionConfig(input="frame", model="ViT-S-32-alt", frames=2),
}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    if request.param == "open-clip":
        pytest.importorskip("open_clip")
    return build(ENCODERS[request.param]())


def batch_of(encoder: Any, *clips: Any) -> MediaBatch:
    batch = stack([encoder.prepare(clip) for clip in clips])
    assert batch is not None
    return batch


def test_the_declared_interface_is_the_real_one(encoder: Any, noise: Any) -> None:
    spec = encoder.config.infer()
    long = encoder.prepare(noise(0, pictures=9, seconds=4.0))
    rows = long.values.shape[0]
    assert rows == spec.tokens or (getattr(encoder.config, "tokens", "pooled") == "all" and spec.tokens % rows == 0)
    assert long.times.shape == (rows,) and long.times.dtype == torch.float32
    assert (long.times.diff() > 0).all()
    batch = batch_of(encoder, noise(1, pictures=1, seconds=0.4), noise(0, pictures=9, seconds=4.0))
    with torch.no_grad():
        tokens = encoder(batch)
    assert tokens.values.shape == (2, spec.tokens, spec.dim) and tokens.values.dtype == torch.float32
    assert tokens.mask is not None and tokens.mask.shape == (2, spec.tokens) and tokens.mask[1].all()
    assert tokens.times.shape == (2, spec.tokens)
    assert torch.isfinite(tokens.values).all()


def test_counted_parameters_are_the_real_ones(encoder: Any) -> None:
    count = encoder.config.parameters()
    assert count is None or count == sum(parameter.numel() for parameter in encoder.parameters())


def test_what_padding_holds_does_not_matter(encoder: Any, noise: Any) -> None:
    batch = batch_of(encoder, noise(1, pictures=1, seconds=0.4), noise(0, pictures=9, seconds=4.0))
    empty = replace(batch, mask=batch.mask & torch.tensor([[True], [False]]))
    with torch.no_grad():
        expected = encoder(batch).values
        garbage = 255 if batch.values.dtype == torch.uint8 else float("nan")
        spoiled = batch.values.clone()
        spoiled[~batch.mask] = garbage
        got = encoder(replace(batch, values=spoiled))
        single = encoder(empty)
    assert not batch.mask.all()
    torch.testing.assert_close(got.values, expected, rtol=0, atol=0)
    assert torch.isfinite(got.values).all() and (got.values[~got.mask] == 0).all()
    torch.testing.assert_close(single.values[0], expected[0], rtol=2e-2, atol=2e-2)
    with torch.no_grad():
        nothing = encoder(replace(batch, mask=torch.zeros_like(batch.mask)))
    assert (nothing.values == 0).all() and nothing.values.shape == expected.shape


def test_an_absent_stream_gives_none(encoder: Any, fake_clip: Any) -> None:
    assert encoder.prepare(fake_clip()) is None
    assert encoder.prepare(fake_clip(pictures=[], sound=np.zeros(0, np.float32))) is None


def test_silence_and_black_are_finite(encoder: Any, fake_clip: Any) -> None:
    clip = fake_clip([np.zeros((5, 9, 3), np.uint8)], np.zeros(9000, np.float32))
    with torch.no_grad():
        assert torch.isfinite(encoder(batch_of(encoder, clip)).values).all()


def test_gradients_are_finite(encoder: Any, noise: Any) -> None:
    weights = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    if not weights or encoder.config.model_dump().get("dtype") == "bfloat16":
        pytest.skip("nothing is trained in this one")
    encoder.train()
    try:
        batch = batch_of(encoder, noise(1, pictures=1, seconds=0.4), noise(0, pictures=9, seconds=4.0))
        encoder(batch).values.square().sum().backward()
        results = [weight.grad for weight in weights if weight.grad is not None]
        assert len(results) > len(weights) // 2
        assert all(torch.isfinite(grad).all() for grad in results)
        assert sum(float(grad.abs().sum()) for grad in results) > 0
    finally:
        encoder.zero_grad()
        encoder.eval()


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "open-clip"])
def test_random_weights_follow_the_seed(name: str) -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build(ENCODERS[name]()).state_dict())
    if not states[0]:
        return
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_batch_norm_sees_real_rows_only(noise: Any) -> None:
    encoder = build(timm_vision(frozen=False)).train()
    batch = batch_of(encoder, noise(1, pictures=1, seconds=1), noise(0, pictures=9, seconds=1))
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder(batch)
    after = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.load_state_dict(before)
    spoiled = batch.values.clone()
    spoiled[~batch.mask] = 255
    encoder(replace(batch, values=spoiled))
    assert all(torch.equal(after[key], value) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: speech("hubert", **options),
        lambda **options: timm_mel(**options, **({"positions": 2} if options["tokens"] == "all" else {})),
    ],
    ids=["speech", "timm-mel"],
)
def test_the_mean_of_all_tokens_is_the_pooled_one(make: Callable[..., EncoderConfig], noise: Any) -> None:
    tokens = {}
    for kind in ("pooled", "all"):
        torch.manual_seed(0)
        encoder = build(make(tokens=kind))
        with torch.no_grad():
            tokens[kind] = encoder(batch_of(encoder, noise(1, pictures=1, seconds=2.0)))
    rows = tokens["pooled"].values.shape[1]
    assert tokens["all"].values.shape[1] > rows
    # The frames of a speech model leave up to a frame of 20 ms at the end of a window.
    for name, tolerance in (("values", 1e-5), ("times", 0.02)):
        mean = getattr(tokens["all"], name).unflatten(1, (rows, -1)).mean(dim=2)
        torch.testing.assert_close(mean, getattr(tokens["pooled"], name), rtol=1e-4, atol=tolerance)
    assert (tokens["all"].times.diff() > 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "all"}, "needs positions"),
        ({"positions": 2}, "tokens: all only"),
    ],
)
def test_positions_go_with_all_tokens(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm_mel(**options)


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (lambda **options: speech("hubert", clips=1, **options), 0.5),
        (lambda **options: timm_mel(windows=1, n_mels=64, **options), 0.4),
        (lambda **options: timm_mel(windows=1, n_mels=64, hop_ms=7, **options), 0.73),
        (lambda **options: timm_mel(windows=1, tokens="all", **options), 0.5),
        (
            lambda **options: timm_mel(
                windows=1,
                model="convnext_atto",
                model_args={"depths": [1] * 4, "dims": [8] * 4},
                **{"n_mels": 64, **options, "features": 8},
            ),
            0.5,
        ),
    ],
    ids=["speech", "timm-mel", "timm-mel-hop", "timm-mel-all", "timm-mel-convnext"],
)
def test_the_silence_that_fills_up_a_window_changes_nothing(
    make: Callable[..., EncoderConfig], seconds: float, noise: Any
) -> None:
    clip = noise(1, pictures=1, seconds=seconds)
    tokens = {}
    for window, positions in ((seconds, 2), (2.0, 7)):
        torch.manual_seed(0)
        every = "all" in str(make.__code__.co_consts)
        encoder = build(make(seconds=window, **({"positions": positions} if every else {})))
        with torch.no_grad():
            tokens[window] = encoder(batch_of(encoder, clip, noise(2, pictures=1, seconds=3.0)))
    alone, within = tokens[seconds], tokens[2.0]
    torch.testing.assert_close(within.values[0][within.mask[0]], alone.values[0][alone.mask[0]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(within.times[0][within.mask[0]], alone.times[0][alone.mask[0]], rtol=0, atol=1e-5)


def test_a_model_of_whole_windows_is_refused_unless_it_may_read_silence() -> None:
    options: dict[str, Any] = {
        "model": "vit_tiny_patch16_224",
        "model_args": {"embed_dim": 12, "depth": 1, "img_size": (32, 48)},
        "features": 12,
        "n_mels": 32,
        "seconds": 0.48,
    }
    with pytest.raises(InterfaceError, match="whole windows only") as caught:
        build(timm_mel(**options))
    assert "padding: read" in caught.value.problems[0].hint
    build(timm_mel(**options, padding="read"))


def test_a_short_sound_can_be_trained_on(noise: Any) -> None:
    encoder = build(timm_mel(frozen=False)).train()
    encoder(batch_of(encoder, noise(1, pictures=0, seconds=0.05))).values.sum().backward()
