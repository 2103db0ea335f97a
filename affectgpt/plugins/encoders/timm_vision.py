"""`timm`: pooled features of frames or face crops from any timm model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from timm.data import create_transform
from torch import Tensor, nn
from torchvision.transforms import Compose

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.pictures import Fit, normalise, prepare_pictures, square, without_far_ends
from affectgpt.plugins.encoders.timm_model import PictureFormat, build_timm, features, picture_format
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
        self.fit: Fit = square
        if self.pretrained and config.facts == "stated":
            self.fit = partial(_fit, transform=_transform(expected_format, height), crop_mode=expected_format.crop_mode)

    def prepare(self, clip: Clip) -> Prepared | None:
        """Pixels `[T, 3, S, S]` uint8, T at most `frames`; None when the clip has no such pictures."""
        config = self.config
        return prepare_pictures(
            clip, self.output.modality, config.frames, self.size, config.channel_order, fit=self.fit
        )

    def forward(self, batch: MediaBatch) -> Tokens:
        """Pixels `[B, T, 3, S, S]` uint8 -> tokens `[B, T * positions, features]` float32."""
        return encode_unpadded(batch, self.output.dim, self._embed, self.config.per_picture())

    def _embed(self, pixels: Tensor) -> Tensor:
        return features(self.model, self.config, normalise(pixels, self.mean, self.std))


def _transform(expected: PictureFormat, size: int) -> Callable[[Image.Image], Image.Image]:
    """timm's own resize and crop of a picture to `size` x `size`."""
    ways = {"interpolation": expected.interpolation, "crop_pct": expected.crop_pct, "crop_mode": expected.crop_mode}
    # With a prefetcher timm leaves the statistics to the device; what is left after the crop makes a tensor of it.
    whole = create_transform((3, size, size), mean=expected.mean, std=expected.std, use_prefetcher=True, **ways)
    steps: Callable[[Image.Image], Image.Image] = Compose(whole.transforms[:-1])
    return steps


def _fit(
    picture: NDArray[np.uint8], size: int, *, transform: Callable[[Image.Image], Image.Image], crop_mode: str
) -> NDArray[np.uint8]:
    """`[H, W, 3]` uint8 -> `[size, size, 3]`.

    A picture so long that its shorter edge would vanish ("border"), or memory run out ("center"), loses its ends.
    """
    if crop_mode != "squash":
        picture = without_far_ends(picture, size // 2 if crop_mode == "border" else 1)
    return np.asarray(transform(Image.fromarray(np.ascontiguousarray(picture))), dtype=np.uint8)
