"""`open-clip`: image embeddings of frames or face crops from an open_clip model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import open_clip
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.open_clip_vision_config import OpenClipVisionConfig
from affectgpt.plugins.encoders.pictures import normalise, prepare_pictures
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import MODELS_VARIABLE, find_model, is_repository
from affectgpt.registry.errors import CheckpointError, InterfaceError
from affectgpt.registry.messages import reason

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip

_FILES = ("open_clip_model.safetensors", "model.safetensors")
_TOWER = "visual."


class OpenClipVision(nn.Module):
    """Frames -> the image tower of an open_clip model, `[B, T, embed_dim]`, not normalised in length.

    Raises CheckpointError when the checkpoint is not there or does not fit, InterfaceError when the model cannot be
    built without a network.
    """

    def __init__(self, config: OpenClipVisionConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.pretrained = config.checkpoint is not None
        try:
            with _without_notice():
                model = open_clip.create_model(
                    config.model, load_weights=False, pretrained_image=False, pretrained_text=False
                )
        except (RuntimeError, OSError, ValueError, ImportError) as error:
            raise InterfaceError(
                "open_clip cannot build this model here", where=config.model, found=reason(error)
            ) from None
        preprocessing = open_clip.get_model_preprocess_cfg(model)
        size = preprocessing["size"]
        self.size: int = min(size) if isinstance(size, list | tuple) else size
        self.mean, self.std = tuple(preprocessing["mean"]), tuple(preprocessing["std"])
        self.model: nn.Module = model.visual
        if config.checkpoint is not None:
            _load(self.model, _file(config.checkpoint))
        self.eval()

    def prepare(self, clip: Clip) -> Prepared | None:
        """Pixels `[T, 3, S, S]` uint8, T at most `frames`; None when the clip has no such pictures."""
        return prepare_pictures(clip, self.output.modality, self.config.frames, self.size, self.config.channel_order)

    def forward(self, batch: MediaBatch) -> Tokens:
        """Pixels `[B, T, 3, S, S]` uint8 -> tokens `[B, T, embed_dim]` float32."""
        return encode_unpadded(batch, self.output.dim, self._embed)

    def _embed(self, pixels: Tensor) -> Tensor:
        embeds: Tensor = self.model(normalise(pixels, self.mean, self.std))
        return embeds


@contextmanager
def _without_notice() -> Iterator[None]:
    # open_clip tells the root logger that no weights were loaded; they are loaded here, afterwards.
    def keep(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("No pretrained weights loaded")

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)


def _file(checkpoint: str) -> Path:
    if checkpoint.endswith(".safetensors") and Path(checkpoint).is_file():
        return Path(checkpoint)
    folder = find_model(checkpoint)
    if folder is not None:
        for name in _FILES:
            if (folder / name).is_file():
                return folder / name
    elif is_repository(checkpoint) and "/" in checkpoint:
        from huggingface_hub import hf_hub_download

        check_hub(checkpoint)
        try:
            return Path(hf_hub_download(checkpoint, _FILES[0]))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint {checkpoint!r} cannot be downloaded",
                found=reason(error),
                hint=f"put its folder under ${MODELS_VARIABLE}",
            ) from None
    raise CheckpointError(
        f"there is no open_clip checkpoint {checkpoint!r}",
        expected=f"a folder with {' or '.join(_FILES)}, or such a file",
    )


def _load(tower: nn.Module, file: Path) -> None:
    try:
        with safe_open(file, framework="pt") as tensors:
            names = list(tensors.keys())
            state = {key.removeprefix(_TOWER): tensors.get_tensor(key) for key in names if key.startswith(_TOWER)}
        report = tower.load_state_dict(state, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            "this checkpoint does not fit", where=str(file), found=" ".join(str(error).split())[:500]
        ) from None
    if report.missing_keys:
        raise CheckpointError(
            f"{len(report.missing_keys)} weights are missing from this checkpoint",
            where=str(file),
            found=f"no {', '.join(sorted(report.missing_keys)[:8])}",
            hint="it is of another model",
        )
