"""Options shared by the encoders that take their weights from a transformers model folder. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from affectgpt.core.contracts import EncoderConfig, ModelPath
from affectgpt.plugins.known_models import known_parameters, model_config, model_files


def check_heads(hidden_size: int, heads: int) -> None:
    """Raise ValueError when a width does not divide among attention heads."""
    if hidden_size % heads:
        raise ValueError(f"hidden_size ({hidden_size}) must be a multiple of num_attention_heads ({heads})")


class WeightsConfig(EncoderConfig, defer_build=True):
    """Which model, whether its trained weights are read, and how they are held.

    A subclass adds `architecture`, a pydantic model of the sizes, for a model that has no folder and no name.
    """

    model: ModelPath | None = Field(default=None, description="folder, or name on the Hugging Face hub")
    init: Literal["pretrained", "random"] = Field(
        default="pretrained", description='"random" builds the architecture and reads no weights'
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(default="float32", description="of the weights")
    allow_pickle: bool = Field(
        default=False, description="read pytorch_model.bin (weights only) where there is no safetensors file"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        inline = getattr(self, "architecture", None) is not None
        if self.init == "pretrained" and (inline or self.model is None):
            raise ValueError("init: pretrained needs model, and takes its sizes from it: no architecture")
        if self.init == "random" and inline == (self.model is not None):
            raise ValueError("init: random needs either model or architecture")
        if self.dtype == "float16" and not self.frozen:
            raise ValueError("float16 weights cannot be trained: use float32 or bfloat16, or frozen: true")
        return self

    def model_values(self) -> dict[str, Any]:
        """The values of the model's `config.json`, or those of `architecture`. Raises InterfaceError."""
        if self.model is not None:
            return model_config(self.model)
        values: dict[str, Any] = getattr(self, "architecture").model_dump(exclude_none=True)  # noqa: B009
        return values

    def display_name(self) -> str:
        """The name of the model for an error message."""
        return self.model or "architecture"

    def weight_files(self) -> Sequence[Path]:
        return model_files(self.model) if self.model is not None and self.init == "pretrained" else ()

    def parameters(self) -> int | None:
        return known_parameters(self.model) if self.model else None
