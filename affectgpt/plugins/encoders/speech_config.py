"""Options and interface of the encoder `speech`. No torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from affectgpt.core.contracts import PluginConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.option_types import RATE, WindowSpread
from affectgpt.plugins.encoders.weights_base import WeightsConfig, check_heads
from affectgpt.plugins.known_models import config_size
from affectgpt.registry.errors import InterfaceError, join_names
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="speech",
    config=f"{__name__}:SpeechConfig",
    target="affectgpt.plugins.encoders.speech:Speech",
    summary="HuBERT, WavLM, wav2vec 2.0 or data2vec, one token per window (transformers)",
    citation="HuBERT: Hsu et al., 2021, arXiv:2106.07447",
)

Family = Literal["hubert", "wavlm", "wav2vec2", "data2vec-audio"]
FAMILIES: tuple[Family, ...] = ("hubert", "wavlm", "wav2vec2", "data2vec-audio")
Resampling = Literal["libav", "sinc"]


class SpeechArchitecture(PluginConfig, defer_build=True):
    """Sizes of a speech model, under the names of its `config.json`."""

    model_type: Family = "hubert"
    hidden_size: int = Field(default=768, gt=0)
    intermediate_size: int = Field(default=3072, gt=0)
    num_hidden_layers: int = Field(default=12, gt=0)
    num_attention_heads: int = Field(default=12, gt=0)
    conv_dim: list[Annotated[int, Field(gt=0)]] = Field(default=[512] * 7, min_length=1)
    conv_kernel: list[Annotated[int, Field(gt=0)]] = Field(default=[10, 3, 3, 3, 3, 2, 2], min_length=1)
    conv_stride: list[Annotated[int, Field(gt=0)]] = Field(default=[5, 2, 2, 2, 2, 2, 2], min_length=1)
    conv_bias: bool = False
    feat_extract_norm: Literal["group", "layer"] | None = None
    do_stable_layer_norm: bool | None = None
    num_conv_pos_embeddings: int | None = Field(default=None, gt=0)
    num_conv_pos_embedding_groups: int = Field(default=16, gt=0)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        check_heads(self.hidden_size, self.num_attention_heads)
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_conv_pos_embedding_groups"
                f" ({self.num_conv_pos_embedding_groups})"
            )
        lengths = {name: len(getattr(self, name)) for name in ("conv_dim", "conv_kernel", "conv_stride")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"one number a layer in each of {', '.join(f'{k} ({n})' for k, n in lengths.items())}")
        return self


class SpeechConfig(WeightsConfig):
    """`speech`: one token per window of the waveform, from a self-supervised speech model.

    A token is the mean over time of the mean of the last `layers` hidden states; with `tokens: all` the mean over time
    is left out. `normalize` says over what the
    waveform is brought to mean 0 and variance 1: one window, all windows of the clip, or (as the released
    AffectGPT does, after removing each window's own mean) the whole batch, whose results then depend on its other
    clips. "none" is for models trained on raw samples (WavLM base and base-plus).
    """

    streams: ClassVar[tuple[str, ...]] = ("audio",)
    feature_version: ClassVar[int | None] = 1

    architecture: SpeechArchitecture | None = Field(default=None, description="sizes, instead of a model's name")
    clips: int = Field(default=8, ge=1, le=64, description="windows per clip")
    seconds: float = Field(default=2.0, ge=0.5, le=30, description="length of a window")
    layers: int = Field(default=4, ge=1, description="how many of the last hidden states are averaged")
    normalize: Literal["window", "clip", "batch", "none"] = Field(default="clip", description="scope of mean and scale")
    spread: WindowSpread = Field(default="ends", description='"released" as the released AffectGPT places windows')
    resample: Resampling = Field(
        default="libav", description='how sound of another rate is brought to 16 kHz; "sinc": as the released AffectGPT'
    )
    padding: Literal["left out", "read"] = Field(
        default="left out",
        description='the silence that fills up a window of a shorter sound; "read": its frames count as sound, and the '
        "times of frames are spread over the window (before 0.2, and the released AffectGPT)",
    )
    tokens: Literal["pooled", "all"] = Field(
        default="pooled", description='"pooled": one per window; "all": every frame of the model (20 ms)'
    )

    def convolutions(self) -> list[tuple[int, int]]:
        """Kernel and stride of each convolution, as the model's config.json states them."""
        values = self.model_values()
        kernels = values.get("conv_kernel", [10, 3, 3, 3, 3, 2, 2])
        return list(zip(kernels, values.get("conv_stride", [5, 2, 2, 2, 2, 2, 2]), strict=True))

    def frames(self, samples: int) -> int:
        """Frames that the convolutions leave of `samples`: floor((n - kernel) / stride) + 1 for each of them."""
        for kernel, stride in self.convolutions():
            samples = (samples - kernel) // stride + 1
        return samples

    def per_window(self) -> int:
        """Tokens of one whole window."""
        return 1 if self.tokens == "pooled" else self.frames_of_a_window()

    def frames_of_a_window(self) -> int:
        """Frames of one whole window. Raises InterfaceError when it has none."""
        count = self.frames(round(self.seconds * RATE))
        if count < 1:
            raise InterfaceError(
                "a window is too short for the model's convolutions",
                where=self.display_name(),
                found=f"seconds: {self.seconds}",
                path=("seconds",),
            )
        return count

    def reads_whole_batch(self) -> bool:
        return self.normalize == "batch"

    def infer(self) -> TokenSpec:
        values = self.model_values()
        kind = values.get("model_type")
        if kind not in FAMILIES:
            raise InterfaceError(
                "this model is not a speech model that is supported",
                where=self.display_name(),
                found=f"model_type {kind!r}",
                expected=f"one of {join_names(FAMILIES)}",
            )
        depth = config_size(values, "num_hidden_layers", 12, where=self.display_name())
        if self.layers > depth:
            raise InterfaceError(
                "more hidden states are averaged than the model has",
                where=self.display_name(),
                found=f"layers: {self.layers}",
                expected=f"at most {depth}",
                path=("layers",),
            )
        width = config_size(values, "hidden_size", 768, where=self.display_name())
        self.frames_of_a_window()
        return TokenSpec(modality=self.input, dim=width, tokens=self.clips * self.per_window(), exact=False)
