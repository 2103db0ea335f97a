"""Options and interface of the encoder `timm-mel`. No torch."""

from __future__ import annotations

from typing import ClassVar

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

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=self.width(), tokens=self.windows * self.per_picture(), exact=False)
