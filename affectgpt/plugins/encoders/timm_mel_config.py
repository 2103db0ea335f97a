"""Options and interface of the encoder `timm-mel`. No torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.mel_config import MelOptions
from affectgpt.plugins.encoders.timm_base import TimmConfig
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="timm-mel",
    config=f"{__name__}:TimmMelConfig",
    target="affectgpt.plugins.encoders.timm_mel:TimmMel",
    summary="windows of the log-mel spectrogram through any timm image model",
    requires=("timm",),
)


class TimmMelConfig(TimmConfig, MelOptions):
    """`timm-mel`: one token per window of the log-mel spectrogram, read as a one-channel picture by a timm model."""

    feature_version: ClassVar[int | None] = 1

    windows: int = Field(default=4, ge=1, le=64, description="windows per clip")
    seconds: float = Field(default=1.0, ge=0.2, le=30, description="length of a window")
    padding: Literal["left out", "read"] = Field(
        default="left out",
        description="the silence that fills up a window of a shorter sound: the model reads as much as the sound is "
        'long, which a convolutional one can; "read": it reads the silence too (before 0.2, and for models of a fixed '
        "size)",
    )

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=self.width(), tokens=self.windows * self.per_picture(), exact=False)
