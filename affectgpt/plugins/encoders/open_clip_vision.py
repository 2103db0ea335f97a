"""`open-clip`: image embeddings of frames or face crops from an open_clip model."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.plugins.encoders.open_clip_vision_config import OpenClipVisionConfig
from affectgpt.plugins.encoders.pictures import normalise, prepare_pictures, square
from affectgpt.plugins.encoders.unpadded import encode_unpadded
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import MODELS_VARIABLE, find_model, is_repository
from affectgpt.registry.errors import CheckpointError, InterfaceError, join_names
from affectgpt.registry.messages import reason

if TYPE_CHECKING:
    from affectgpt.media.clip import Clip


def _crop(picture: Any, size: int, filter: Image.Resampling, fill: int) -> Any:
    return square(picture, size, filter)


def _squash(picture: Any, size: int, filter: Image.Resampling, fill: int) -> Any:
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((size, size), filter))


def _letterbox(picture: Any, size: int, filter: Image.Resampling, fill: int) -> Any:
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    high, wide = round(height * scale) or 1, round(width * scale) or 1
    filled = np.full((size, size, 3), fill, np.uint8)
    top, left = (size - high) // 2, (size - wide) // 2
    resized = Image.fromarray(np.ascontiguousarray(picture)).resize((wide, high), filter)
    filled[top : top + high, left : left + wide] = np.asarray(resized)
    return filled


_FITS = {"shortest": _crop, "squash": _squash, "longest": _letterbox}
"""open_clip's names of how a picture becomes square."""
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def _three_numbers(value: Any) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in value)
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"not three numbers: {value!r}")
    return numbers


def _deviations(value: Any) -> tuple[float, ...]:
    if min(numbers := _three_numbers(value)) <= 0:
        raise ValueError(f"std is not above 0: {value!r}")
    return numbers


def _among(names: Mapping[str, Any]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is none of {join_names(names)}")
        return str(value)

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "mean": _three_numbers,
    "std": _deviations,
    "resize_mode": _among(_FITS),
    "interpolation": _among(_FILTERS),
    "fill_color": lambda value: int(value) % 256,
}
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
        self.model: nn.Module = model.visual
        stated: Mapping[str, Any] = {}
        if config.checkpoint is not None:
            file = _file(config.checkpoint)
            stated = _stated_preprocessing(config.model, file) if config.preprocessing == "stated" else {}
            _load(self.model, file)
        values = {**preprocessing, **stated}
        self.mean, self.std = tuple(values["mean"]), tuple(values["std"])
        self.fit = partial(
            _FITS[values["resize_mode"]], filter=_FILTERS[values["interpolation"]], fill=values["fill_color"]
        )
        self.eval()

    def prepare(self, clip: Clip) -> Prepared | None:
        """Pixels `[T, 3, S, S]` uint8, T at most `frames`; None when the clip has no such pictures."""
        config = self.config
        return prepare_pictures(
            clip, self.output.modality, config.frames, self.size, config.channel_order, fit=self.fit
        )

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


def _stated_preprocessing(model: str, file: Path) -> dict[str, Any]:
    """What `open_clip_config.json` beside the weights says of pictures; without one, the model's pretrained tags.

    Raises CheckpointError when the file describes another tower or cannot be read, and when nothing settles it.
    """
    config = file.with_name("open_clip_config.json")
    if not config.is_file():
        return _preprocessing_of_tags(model, file)
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        tower, stated = content["model_cfg"], content.get("preprocess_cfg", {})
        chosen = {name: _CHECKS[name](value) for name, value in stated.items() if name in _CHECKS and value is not None}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            "what is stated beside the weights cannot be read",
            where=str(config),
            found=repr(error)[:200],
            expected="model_cfg and preprocess_cfg, as open_clip writes them",
        ) from None
    expected = open_clip.get_model_config(model)
    names = ("embed_dim", "vision_cfg", "quick_gelu")
    differing = [name for name in names if (tower.get(name) or None) != (expected.get(name) or None)]
    if differing:
        raise CheckpointError(
            "these weights are of another architecture",
            where=str(config),
            found=f"other values of {join_names(differing)}",
            expected=f"those of {model}",
            hint="name the architecture that has them, such as -quickgelu, or leave the file out if it is wrong",
        )
    return chosen


def _preprocessing_of_tags(model: str, file: Path) -> dict[str, Any]:
    kinds = []
    for tag in open_clip.list_pretrained_tags_by_model(model):
        values = open_clip.get_pretrained_cfg(model, tag)
        kind = {name: values[name] for name in _CHECKS if values.get(name) is not None}
        if kind not in kinds:
            kinds.append(kind)
    if len(kinds) > 1:
        raise CheckpointError(
            "how pictures are prepared for these weights is not stated",
            where=str(file),
            found=f"{len(kinds)} ways among the pretrained models of {model}",
            expected="open_clip_config.json beside the weights",
            hint="download the whole folder, or set preprocessing: clip",
        )
    return kinds[0] if kinds else {}


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
