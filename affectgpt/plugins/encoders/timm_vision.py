"""`timm`: pooled features of frames or face crops from any timm model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.pictures import normalise, prepare_pictures
from affectgpt.plugins.encoders.timm_model import build_timm, features, picture_format
from affectgpt.plugins.encoders.timm_vision_config import TimmVisionConfig
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.registry.errors import InterfaceError

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


class TimmVision(nn.Module):
    """Frames -> a timm model -> pooled features, `[B, T, features]`. Pixels are scaled as the model expects.

    Raises InterfaceError and CheckpointError as `build_timm` does.
    """

    def __init__(self, config: TimmVisionConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.pretrained = config.init == "pretrained"
        size = (config.size, config.size) if config.size else None
        self.model = build_timm(config, channels=3, size=size, dim=output.dim)
        expected_format = picture_format(self.model)
        height, width = size or expected_format[:2]
        if height != width:
            raise InterfaceError(
                "this model reads pictures that are not square",
                where=config.model,
                found=f"{height} x {width}",
                hint="give size",
            )
        self.size = height
        self.mean, self.std = expected_format.mean, expected_format.std

    def prepare(self, clip: Clip) -> Prepared | None:
        """Pixels `[T, 3, S, S]` uint8, T at most `frames`; None when the clip has no such pictures."""
        return prepare_pictures(clip, self.output.modality, self.config.frames, self.size, self.config.channel_order)

    def forward(self, batch: MediaBatch) -> Tokens:
        """Pixels `[B, T, 3, S, S]` uint8 -> tokens `[B, T * positions, features]` float32."""
        return encode_unpadded(batch, self.output.dim, self._embed, self.config.per_picture())

    def _embed(self, pixels: Tensor) -> Tensor:
        return features(self.model, self.config, normalise(pixels, self.mean, self.std))
