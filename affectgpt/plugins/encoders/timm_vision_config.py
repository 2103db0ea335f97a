"""Options and interface of the encoder `timm`. No torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.option_types import CHANNEL_ORDER_TEXT, ChannelOrder
from affectgpt.plugins.encoders.timm_base import TimmConfig
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="timm",
    config=f"{__name__}:TimmVisionConfig",
    target="affectgpt.plugins.encoders.timm_vision:TimmVision",
    summary="any timm image model, one token per picture",
    citation="timm: Wightman, 2019, doi:10.5281/zenodo.4414861",
    requires=("timm",),
)


class TimmVisionConfig(TimmConfig):
    """`timm`: one token per frame, the pooled features of any timm model; with `tokens: all`, every position."""

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")
    feature_version: ClassVar[int | None] = 1

    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    size: int | None = Field(default=None, ge=8, le=1024, description="pixels; default: the model's own")
    channel_order: ChannelOrder = Field(default="rgb", description=CHANNEL_ORDER_TEXT)

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=self.width(), tokens=self.frames * self.per_picture(), exact=False)
