"""Options and interfaces of the audio encoders. No torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from affectgpt.core.contracts import EncoderConfig, PluginConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.timm_config import TimmConfig
from affectgpt.plugins.encoders.weights_config import WeightsConfig
from affectgpt.plugins.encoders.windows import RATE, Spread
from affectgpt.plugins.known_models import config_size
from affectgpt.registry.errors import InterfaceError, listed

Resampling = Literal["libav", "sinc"]
Family = Literal["hubert", "wavlm", "wav2vec2", "data2vec-audio"]
FAMILIES: tuple[Family, ...] = ("hubert", "wavlm", "wav2vec2", "data2vec-audio")


class SpeechArchitecture(PluginConfig):
    """Sizes of a speech model, under the names of its `config.json`."""

    model_type: Family = "hubert"
    hidden_size: int = Field(default=768, gt=0)
    intermediate_size: int = Field(default=3072, gt=0)
    num_hidden_layers: int = Field(default=12, gt=0)
    num_attention_heads: int = Field(default=12, gt=0)
    conv_dim: list[int] = Field(default=[512] * 7, min_length=1)
    conv_kernel: list[int] = Field(default=[10, 3, 3, 3, 3, 2, 2], min_length=1)
    conv_stride: list[int] = Field(default=[5, 2, 2, 2, 2, 2, 2], min_length=1)
    conv_bias: bool = False
    feat_extract_norm: Literal["group", "layer"] | None = None
    do_stable_layer_norm: bool | None = None
    num_conv_pos_embeddings: int | None = Field(default=None, gt=0)
    num_conv_pos_embedding_groups: int = Field(default=16, gt=0)


class SpeechConfig(WeightsConfig):
    """`speech`: one token per window of the waveform, from a self-supervised speech model.

    A token is the mean over time of the mean of the last `layers` hidden states; with `tokens: all` the mean over time
    is left out. `normalize` says over what the
    waveform is brought to mean 0 and variance 1: one window, all windows of the clip, or (as the released
    AffectGPT does, after removing each window's own mean) the whole batch, whose results then depend on its other
    clips. "none" is for models trained on raw samples (WavLM base and base-plus).
    """

    streams: ClassVar[tuple[str, ...]] = ("audio",)

    architecture: SpeechArchitecture | None = Field(default=None, description="sizes, instead of a model's name")
    clips: int = Field(default=8, ge=1, le=64, description="windows per clip")
    seconds: float = Field(default=2.0, ge=0.5, le=30, description="length of a window")
    layers: int = Field(default=4, ge=1, description="how many of the last hidden states are averaged")
    normalize: Literal["window", "clip", "batch", "none"] = Field(default="clip", description="scope of mean and scale")
    spread: Spread = Field(default="ends", description='"released" places the windows as the released AffectGPT does')
    resample: Resampling = Field(
        default="libav", description='how sound of another rate is brought to 16 kHz; "sinc": as the released AffectGPT'
    )
    tokens: Literal["pooled", "all"] = Field(
        default="pooled", description='"pooled": one per window; "all": every frame of the model (20 ms)'
    )

    def per_window(self) -> int:
        """Tokens of one window: what its convolutions leave of it, floor((n - kernel) / stride) + 1 for each."""
        if self.tokens == "pooled":
            return 1
        values, count = self.model_values(), round(self.seconds * RATE)
        kernels = values.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
        for kernel, stride in zip(kernels, values.get("conv_stride", [5, 2, 2, 2, 2, 2, 2]), strict=True):
            count = (count - kernel) // stride + 1
        return count

    def reads_whole_batch(self) -> bool:
        return self.normalize == "batch"

    def infer(self) -> TokenSpec:
        values = self.model_values()
        kind = values.get("model_type")
        if kind not in FAMILIES:
            raise InterfaceError(
                "this model is not a speech model that is supported",
                where=self.place(),
                found=f"model_type {kind!r}",
                expected=f"one of {listed(FAMILIES)}",
            )
        depth = config_size(values, "num_hidden_layers", 12, where=self.place())
        if self.layers > depth:
            raise InterfaceError(
                "more hidden states are averaged than the model has",
                where=self.place(),
                found=f"layers: {self.layers}",
                expected=f"at most {depth}",
            )
        width = config_size(values, "hidden_size", 768, where=self.place())
        return TokenSpec(modality=self.input, dim=width, tokens=self.clips * self.per_window(), exact=False)


class MelOptions(EncoderConfig):
    """The spectrogram: its number of mel bands, and the length and the distance of its frames."""

    streams: ClassVar[tuple[str, ...]] = ("audio",)

    n_mels: int = Field(default=64, ge=8, le=128, description="mel bands from 0 to 8000 Hz")
    window_ms: float = Field(default=25.0, ge=5, le=60, description="length of a frame")
    hop_ms: float = Field(default=10.0, ge=2, le=60, description="distance between two frames")

    def hop(self) -> int:
        """Distance between two frames in samples."""
        return round(self.hop_ms * RATE / 1000)


class MelConfig(MelOptions):
    """`mel`: the log-mel spectrogram itself, `stack` frames joined into one token. No weights.

    At most `max_seconds` from the start are read.
    """

    stack: int = Field(default=10, ge=1, le=100, description="spectrogram frames in one token")
    delta: bool = Field(default=False, description="also the change over time, which doubles the width")
    max_seconds: float = Field(default=10.0, gt=0, le=600, description="how much of the clip is read")

    def samples(self) -> int:
        """Number of samples that are read at most."""
        return max(round(self.max_seconds * RATE), self.hop() * self.stack)

    def infer(self) -> TokenSpec:
        width = self.n_mels * self.stack * (2 if self.delta else 1)
        tokens = self.samples() // self.hop() // self.stack
        return TokenSpec(modality=self.input, dim=width, tokens=tokens, exact=False)

    def parameters(self) -> int:
        return 0


class TimmMelConfig(TimmConfig, MelOptions):
    """`timm-mel`: one token per window of the log-mel spectrogram, read as a one-channel picture by a timm model."""

    windows: int = Field(default=4, ge=1, le=64, description="windows per clip")
    seconds: float = Field(default=1.0, ge=0.2, le=30, description="length of a window")

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=self.width(), tokens=self.windows * self.per_picture(), exact=False)
