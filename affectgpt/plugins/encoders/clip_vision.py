"""`clip-vision`: CLIP image embeddings of frames or face crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.clip_preprocessing import read_preprocessing
from affectgpt.plugins.encoders.clip_vision_config import ClipVisionConfig
from affectgpt.plugins.encoders.loading import build_random, load_pretrained
from affectgpt.plugins.encoders.pictures import (
    Fit,
    normalise,
    pixel_statistics,
    prepare_pictures,
    resize_to_square,
    square,
)
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.plugins.known_models import config_size, find_model
from affectgpt.registry.errors import InterfaceError
from affectgpt.registry.messages import reason

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


class ClipVision(nn.Module):
    """Frames -> the vision tower of CLIP -> its projection, `[B, T, projection_dim]`, not normalised in length.

    With `tokens: all`, every patch (and the class token) after the last layer norm, `[B, T * P, hidden_size]`; they are
    not projected, because CLIP trains its projection on the class token alone. Radford et al. 2021, section
    2.3. Raises CheckpointError when weights are missing or do not fit, or when what the folder states of
    pictures is absent or not supported; InterfaceError when its config.json cannot be built.
    """

    def __init__(self, config: ClipVisionConfig, output: TokenSpec) -> None:
        super().__init__()
        values = config.vision_values()
        self.config, self.output, self.per_picture = config, output, config.per_picture()
        self.size = config_size(values, "image_size", 224, where=config.display_name())
        self.pretrained = config.init == "pretrained"
        try:
            architecture = CLIPVisionConfig(**values)
        except Exception as error:
            raise InterfaceError(
                "transformers refuses this model's config.json", where=config.display_name(), found=reason(error)
            ) from None
        if self.pretrained and config.model is not None:
            self.model = load_pretrained(
                CLIPVisionModelWithProjection,
                config.model,
                architecture,
                dtype=config.dtype,
                allow_pickle=config.allow_pickle,
            )
        else:
            self.model = build_random(CLIPVisionModelWithProjection, architecture, config.dtype)
        self.fit: Fit = resize_to_square if config.resize == "squash" else square
        self.factor = 1 / 255
        self.mean: Sequence[float]
        self.std: Sequence[float]
        is_stated = self.pretrained and config.model is not None and config.resize == "stated"
        stated = read_preprocessing(str(config.model), self.size) if is_stated else None
        if stated is not None:
            self.fit, self.factor, self.mean, self.std = stated.fit, stated.factor, stated.mean, stated.std
        else:
            self.mean, self.std = pixel_statistics(find_model(config.model) if config.model else None)

    def prepare(self, clip: Clip) -> Prepared | None:
        """Pixels `[T, 3, S, S]` uint8, T at most `frames`; None when the clip has no such pictures."""
        config = self.config
        return prepare_pictures(
            clip, self.output.modality, config.frames, self.size, config.channel_order, config.spread, self.fit
        )

    def forward(self, batch: MediaBatch) -> Tokens:
        """Pixels `[B, T, 3, S, S]` uint8 -> tokens `[B, T * P, D]` float32."""
        return encode_unpadded(batch, self.output.dim, self._embed, self.per_picture)

    def _embed(self, pixels: Tensor) -> Tensor:
        values = normalise(pixels, self.mean, self.std, self.factor).to(getattr(torch, self.config.dtype))
        result = self.model(pixel_values=values)
        if self.config.tokens == "pooled":
            embeds: Tensor = result.image_embeds
            return embeds
        tower: Any = self.model.vision_model
        every: Tensor = tower.post_layernorm(result.last_hidden_state)
        return every
