"""Options and interfaces of the vision encoders. No torch."""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from affectgpt.core.contracts import EncoderConfig, ModelPath, PluginConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.timm_config import TimmConfig
from affectgpt.plugins.encoders.weights_config import WeightsConfig
from affectgpt.plugins.known_models import config_size
from affectgpt.registry.errors import InterfaceError, listed

ChannelOrder = Literal["rgb", "bgr"]
Granularity = Literal["pooled", "all"]
PictureSpread = Literal["middles", "released"]
Resize = Literal["crop", "squash"]
_CHANNELS = 'order in which the model is given the colours; "bgr" reproduces the released AffectGPT'


class ClipArchitecture(PluginConfig):
    """Sizes of a CLIP vision tower, under the names of its `vision_config`."""

    hidden_size: int = Field(default=768, gt=0)
    intermediate_size: int = Field(default=3072, gt=0)
    num_hidden_layers: int = Field(default=12, gt=0)
    num_attention_heads: int = Field(default=12, gt=0)
    image_size: int = Field(default=224, gt=0, le=1024)
    patch_size: int = Field(default=32, gt=0)
    projection_dim: int = Field(default=512, gt=0)
    hidden_act: str = "quick_gelu"


class ClipVisionConfig(WeightsConfig):
    """`clip-vision`: one token per frame, the projected image embedding of CLIP, not normalised in length.

    With `tokens: all`, (image_size / patch_size)^2 patches and the class token per frame, of the tower's own width.
    """

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")

    architecture: ClipArchitecture | None = Field(default=None, description="sizes, instead of a model's name")
    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    channel_order: ChannelOrder = Field(default="rgb", description=_CHANNELS)
    spread: PictureSpread = Field(
        default="middles", description='"released" takes the frames that the released AffectGPT takes, always `frames`'
    )
    resize: Resize = Field(
        default="crop", description='"squash": the whole picture made square, bilinear, as the released AffectGPT does'
    )
    tokens: Granularity = Field(default="pooled", description='"pooled": one per frame; "all": every patch')

    def per_picture(self) -> int:
        """Tokens of one frame."""
        if self.tokens == "pooled":
            return 1
        values = self.vision_values()
        size, patch = (
            config_size(values, name, default, where=self.place())
            for name, default in (("image_size", 224), ("patch_size", 32))
        )
        return (size // patch) ** 2 + 1

    def vision_values(self) -> dict[str, Any]:
        """The values of the vision tower. Raises InterfaceError when the model is not a CLIP."""
        values = self.model_values()
        kind = values.get("model_type", "clip_vision_model")
        if kind == "clip":
            inner = values.get("vision_config")
            tower = dict(inner) if isinstance(inner, dict) else {}
            # A CLIP states the width of the shared space once, outside; the value inside may be missing.
            tower["projection_dim"] = values.get("projection_dim", 512)
        elif kind == "clip_vision_model":
            tower = dict(values)
        else:
            raise InterfaceError(
                "this model is not a CLIP",
                where=self.place(),
                found=f"model_type {kind!r}",
                expected='model_type "clip"',
                hint="the plugins open-clip and timm take other vision models",
            )
        tower.pop("model_type", None)
        return tower

    def infer(self) -> TokenSpec:
        name, size = ("projection_dim", 512) if self.tokens == "pooled" else ("hidden_size", 768)
        width = config_size(self.vision_values(), name, size, where=self.place())
        return TokenSpec(modality=self.input, dim=width, tokens=self.frames * self.per_picture(), exact=False)

    def parameters(self) -> int | None:
        """Weights of the vision tower and its projection, counted from the sizes.

        With width h, layers n, feed-forward f, patch p and image s: embeddings h (1 + 3 p^2 + (s/p)^2 + 1), two
        outer layer norms 4 h, and per layer 4 (h^2 + h) + 2 h f + f + h + 4 h; then the projection.
        """
        values = self.vision_values()
        names = {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "image_size": 224,
            "patch_size": 32,
            "projection_dim": 512,
        }
        h, f, n, s, p, d = (config_size(values, name, size, where=self.place()) for name, size in names.items())
        layer = 4 * (h * h + h) + 2 * h * f + f + h + 4 * h
        return h * (3 * p * p + (s // p) ** 2 + 2) + 4 * h + n * layer + h * d


class TimmVisionConfig(TimmConfig):
    """`timm`: one token per frame, the pooled features of any timm model; with `tokens: all`, every position."""

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")

    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    size: int | None = Field(default=None, ge=8, le=1024, description="pixels; default: the model's own")
    channel_order: ChannelOrder = Field(default="rgb", description=_CHANNELS)

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=self.width(), tokens=self.frames * self.per_picture(), exact=False)


@cache
def _open_clip_configs() -> dict[str, Path]:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise InterfaceError("open_clip is not installed", hint="pip install open_clip_torch")
    return {file.stem: file for file in (Path(spec.origin).parent / "model_configs").glob("*.json")}


class OpenClipVisionConfig(EncoderConfig):
    """`open-clip`: one token per frame, the image embedding of an open_clip model, not normalised in length."""

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")

    model: str = Field(description="architecture, as open_clip names it: ViT-B-32")
    checkpoint: ModelPath | None = Field(
        default=None, description="safetensors file, or a folder or hub name that holds one; none: random weights"
    )
    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    channel_order: ChannelOrder = Field(default="rgb", description=_CHANNELS)

    def infer(self) -> TokenSpec:
        configs = _open_clip_configs()
        file = configs.get(self.model)
        if file is None:
            near = difflib.get_close_matches(self.model.replace("/", "-"), configs, n=3)
            raise InterfaceError(
                f"open_clip has no model {self.model!r}",
                expected=f"did you mean {' or '.join(near)}?" if near else f"one of {listed(configs)}",
            )
        values = json.loads(file.read_text(encoding="utf-8"))
        width = config_size(values, "embed_dim", 0, where=str(file))
        return TokenSpec(modality=self.input, dim=width, tokens=self.frames, exact=False)
