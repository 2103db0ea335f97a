"""Options and interface of the encoder `open-clip`. No torch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from affectgpt.core.contracts import EncoderConfig, ModelPath
from affectgpt.core.token_spec import TokenSpec
from affectgpt.plugins.encoders.option_types import CHANNEL_ORDER_TEXT, ChannelOrder
from affectgpt.plugins.known_models import config_size, model_files
from affectgpt.registry.errors import InterfaceError, join_names
from affectgpt.registry.spec import PluginSpec

SPEC = PluginSpec(
    kind="encoder",
    name="open-clip",
    config=f"{__name__}:OpenClipVisionConfig",
    target="affectgpt.plugins.encoders.open_clip_vision:OpenClipVision",
    summary="any OpenCLIP image tower, one token per picture",
    citation="OpenCLIP: Cherti et al., 2022, arXiv:2212.07143",
    requires=("open_clip_torch",),
)


@cache
def open_clip_configs() -> dict[str, Path]:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise InterfaceError("open_clip is not installed", hint="pip install open_clip_torch")
    return {file.stem: file for file in (Path(spec.origin).parent / "model_configs").glob("*.json")}


class OpenClipVisionConfig(EncoderConfig, defer_build=True):
    """`open-clip`: one token per frame, the image embedding of an open_clip model, not normalised in length."""

    streams: ClassVar[tuple[str, ...]] = ("face", "frame")
    feature_version: ClassVar[int | None] = 1

    model: str = Field(description="architecture, as open_clip names it: ViT-B-32")
    checkpoint: ModelPath | None = Field(
        default=None, description="safetensors file, or a folder or hub name that holds one; none: random weights"
    )
    preprocessing: Literal["stated", "clip"] = Field(
        default="stated",
        description='statistics and resizing of the pictures: those stated beside the weights, or "clip": those of '
        "OpenAI's CLIP for every model (before 0.2)",
    )
    frames: int = Field(default=8, ge=1, le=64, description="frames per clip, spread over its length")
    channel_order: ChannelOrder = Field(default="rgb", description=CHANNEL_ORDER_TEXT)

    def weight_files(self) -> Sequence[Path]:
        return model_files(self.checkpoint) if self.checkpoint is not None else ()

    def infer(self) -> TokenSpec:
        configs = open_clip_configs()
        file = configs.get(self.model)
        if file is None:
            near = difflib.get_close_matches(self.model.replace("/", "-"), configs, n=3)
            raise InterfaceError(
                f"open_clip has no model {self.model!r}",
                expected=f"did you mean {' or '.join(near)}?" if near else f"one of {join_names(configs)}",
            )
        values = json.loads(file.read_text(encoding="utf-8"))
        width = config_size(values, "embed_dim", 0, where=str(file))
        return TokenSpec(modality=self.input, dim=width, tokens=self.frames, exact=False)
