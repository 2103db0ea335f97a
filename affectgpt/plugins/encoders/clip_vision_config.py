"""Options and interface of the encoder `clip-vision`. No torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from affectgpt.core.contracts import PluginConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.option_types import CHANNEL_ORDER_TEXT, ChannelOrder
from affectgpt.plugins.encoders.weights_base import WeightsConfig, check_heads
from affectgpt.plugins.known_models import config_size
from affectgpt.plugins.llms.decoder_facts import check_activation
from affectgpt.registry.errors import InterfaceError
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="clip-vision",
    config=f"{__name__}:ClipVisionConfig",
    target="affectgpt.plugins.encoders.clip_vision:ClipVision",
    summary="CLIP image encoder, one token per picture (transformers)",
    citation="CLIP: Radford et al., 2021, arXiv:2103.00020",
)

Granularity = Literal["pooled", "all"]
PictureSpread = Literal["middles", "released"]
Resize = Literal["stated", "crop", "squash"]


class ClipArchitecture(PluginConfig, defer_build=True):
    """Sizes of a CLIP vision tower, under the names of its `vision_config`."""

    hidden_size: int = Field(default=768, gt=0)
    intermediate_size: int = Field(default=3072, gt=0)
    num_hidden_layers: int = Field(default=12, gt=0)
    num_attention_heads: int = Field(default=12, gt=0)
    image_size: int = Field(default=224, gt=0, le=1024)
    patch_size: int = Field(default=32, gt=0)
    projection_dim: int = Field(default=512, gt=0)
    hidden_act: str = "quick_gelu"

    @field_validator("hidden_act")
    @classmethod
    def _is_there(cls, value: str) -> str:
        check_activation(value)
        return value

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        check_heads(self.hidden_size, self.num_attention_heads)
        if self.image_size < self.patch_size:
            raise ValueError(f"image_size ({self.image_size}) must not be below patch_size ({self.patch_size})")
        return self


class ClipVisionConfig(WeightsConfig):
    """`clip-vision`: one token per frame, the projected image embedding of CLIP, not normalised in length.

    With `tokens: all`, (image_size / patch_size)^2 patches and the class token per frame, of the tower's own width.
    """

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")
    feature_version: ClassVar[int | None] = 1

    architecture: ClipArchitecture | None = Field(default=None, description="sizes, instead of a model's name")
    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    channel_order: ChannelOrder = Field(default="rgb", description=CHANNEL_ORDER_TEXT)
    spread: PictureSpread = Field(
        default="middles", description='"released" takes the frames that the released AffectGPT takes, always `frames`'
    )
    resize: Resize = Field(
        default="stated",
        description="how a picture becomes the model's input: as preprocessor_config.json beside the weights states, "
        "without that file as OpenAI's CLIP does; "
        '"crop": shorter edge resized and the middle taken as OpenAI\'s CLIP does, only image_mean and image_std read '
        'there (before 0.2, and for init: random); "squash": so too, but the whole picture made square, bilinear, as '
        "the released AffectGPT does",
    )
    tokens: Granularity = Field(default="pooled", description='"pooled": one per frame; "all": every patch')

    def per_picture(self) -> int:
        """Tokens of one frame."""
        if self.tokens == "pooled":
            return 1
        values = self.vision_values()
        size, patch = (
            config_size(values, name, default, where=self.display_name())
            for name, default in (("image_size", 224), ("patch_size", 32))
        )
        return (size // patch) ** 2 + 1

    def vision_values(self) -> dict[str, Any]:
        """The values of the vision tower. Raises InterfaceError when the model is not a CLIP."""
        values = self.model_values()
        kind = values.get("model_type", "clip_vision_model")
        if kind == "clip":
            inner, older = values.get("vision_config"), values.get("vision_config_dict")
            tower = dict(inner) if isinstance(inner, dict) else dict(older) if isinstance(older, dict) else {}
            self._check_agreement(tower, older)
            # A CLIP states the width of the shared space once, outside; the value inside may be missing.
            tower["projection_dim"] = values.get("projection_dim", 512)
        elif kind == "clip_vision_model":
            tower = dict(values)
        else:
            raise InterfaceError(
                "this model is not a CLIP",
                where=self.display_name(),
                found=f"model_type {kind!r}",
                expected='model_type "clip"',
                hint="the plugins open-clip and timm take other vision models",
            )
        tower.pop("model_type", None)
        try:
            ClipArchitecture.model_validate({key: tower[key] for key in ClipArchitecture.model_fields if key in tower})
        except ValidationError as error:
            wrong = error.errors()[0]
            raise InterfaceError(
                "this model's config.json does not describe a CLIP that can be built",
                where=self.display_name(),
                found=": ".join([*map(str, wrong["loc"]), wrong["msg"]]),
            ) from None
        return tower

    def _check_agreement(self, tower: dict[str, Any], older: Any) -> None:
        """Raise InterfaceError when a config.json states a fact in two forms that differ."""
        names = [*ClipArchitecture.model_fields, "layer_norm_eps"]
        for name in names if isinstance(older, dict) else ():
            if name in older and name != "projection_dim" and older[name] != tower.get(name):
                raise InterfaceError(
                    "this model's config.json contradicts itself",
                    where=self.display_name(),
                    found=f"vision_config.{name}: {tower.get(name)!r}, vision_config_dict.{name}: {older[name]!r}",
                    hint="remove the wrong one of the two sections",
                )

    def infer(self) -> TokenSpec:
        name, size = ("projection_dim", 512) if self.tokens == "pooled" else ("hidden_size", 768)
        width = config_size(self.vision_values(), name, size, where=self.display_name())
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
        h, f, n, s, p, d = (config_size(values, name, size, where=self.display_name()) for name, size in names.items())
        layer = 4 * (h * h + h) + 2 * h * f + f + h + 4 * h
        return h * (3 * p * p + (s // p) ** 2 + 2) + 4 * h + n * layer + h * d
