"""Options shared by the encoders built on timm. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from affectgpt.core.contracts import EncoderConfig
from affectgpt.plugins.known_models import model_files
from affectgpt.registry.errors import InterfaceError

# timm's own name -> width of the pooled features with num_classes=0. timm cannot be asked without torch.
FEATURES = {
    "convnext_small": 768,
    "convnext_tiny": 768,
    "efficientnet_b0": 1280,
    "efficientnet_b2": 1408,
    "mobilenetv3_large_100": 1280,
    "mobilenetv3_small_100": 1024,
    "resnet10t": 512,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "test_efficientnet": 256,
    "test_efficientnet_gn": 256,
    "test_resnet": 96,
    "test_vit": 64,
    "vit_base_patch14_dinov2": 768,
    "vit_base_patch16_224": 768,
    "vit_large_patch14_dinov2": 1024,
    "vit_small_patch14_dinov2": 384,
    "vit_small_patch16_224": 384,
}
SET_BY_THE_ENCODER = (
    "in_chans",
    "num_classes",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "cache_dir",
    "scriptable",
    "exportable",
    "no_jit",
    "checkpoint_path",
    "features_only",
)


class TimmConfig(EncoderConfig, defer_build=True):
    """Which timm model, with which arguments, and how wide its features are."""

    model: str = Field(min_length=1, description="timm name, with or without a tag: resnet18, resnet18.a1_in1k")
    init: Literal["pretrained", "random"] = Field(default="pretrained", description='"random" reads no weights')
    model_args: dict[str, Any] = Field(default_factory=dict, description="arguments for timm.create_model")
    facts: Literal["stated", "ignored"] = Field(
        default="stated",
        description="what belongs to pretrained weights: the arguments of the model and, for pictures, their size, "
        'statistics, resize and crop, as config.json beside the weights states, else timm of the name; "ignored": what '
        "timm says of the name, pictures cut to the square in the middle, bicubic (before 0.2)",
    )
    features: int | None = Field(
        default=None, gt=0, description="width of the model's features; needed where it is not in the table"
    )
    tokens: Literal["pooled", "all"] = Field(
        default="pooled", description='"pooled": one per picture; "all": every position of the last feature map'
    )
    positions: int | None = Field(
        default=None,
        gt=0,
        description="positions of the last feature map, class and register tokens of a ViT among them; needed with "
        "tokens: all, and only there",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_facts_of_random_weights(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("init") == "random":
            return {**values, "facts": "ignored"}
        return values

    @field_validator("model")
    @classmethod
    def _no_scheme(cls, model: str) -> str:
        if ":" in model or "/" in model:
            raise ValueError("a timm name has no ':' and no '/'; a folder under $AFFECTGPT_MODELS/timm holds weights")
        return model

    @field_validator("model_args")
    @classmethod
    def _not_ours(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        forbidden = [name for name in arguments if name in SET_BY_THE_ENCODER]
        if forbidden:
            raise ValueError(f"these arguments are set by the encoder: {', '.join(forbidden)}")
        return arguments

    @model_validator(mode="after")
    def _positions_where_they_count(self) -> TimmConfig:
        if (self.tokens == "all") != (self.positions is not None):
            raise ValueError(
                "tokens: all needs positions, the number of tokens that the model gives per picture"
                if self.tokens == "all"
                else "positions has a meaning with tokens: all only"
            )
        return self

    def weight_files(self) -> Sequence[Path]:
        if self.init == "random":
            return ()
        from affectgpt.plugins.encoders.timm_model import weight_sources

        return next((files for files in map(model_files, weight_sources(self.model)) if files), ())

    def per_picture(self) -> int:
        """Tokens of one picture."""
        return self.positions or 1

    def width(self) -> int:
        """Width of one token. Raises InterfaceError when it is neither an option nor in the table."""
        table_width = FEATURES.get(self.model.split(".")[0])
        if self.features is not None:
            return self.features
        if table_width is None or self.model_args:
            raise InterfaceError(
                f"the width of {self.model!r} is not known here" + (" with model_args" if self.model_args else ""),
                expected="features: the width of the model's pooled features",
                hint=f"python -c \"import timm; print(timm.create_model('{self.model}', num_classes=0)"
                '.head_hidden_size)"',
                path=("features",),
            )
        return table_width
