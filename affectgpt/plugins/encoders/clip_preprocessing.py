"""How the pictures for a transformers CLIP become its input: stated beside its weights, done as transformers does."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as transforms

from affectgpt.plugins.encoders.pictures import CLIP_MEAN, CLIP_STD, without_far_ends
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import MODELS_VARIABLE, find_model, is_repository
from affectgpt.registry.errors import CheckpointError, join_names
from affectgpt.registry.messages import reason, short_repr

# Today's library nests the facts in the first file; older ones write the second.
_FILES = ("processor_config.json", "preprocessor_config.json")
_LARGEST_FILE = 4 * 1024 * 1024
_LARGEST_EDGE = 2048
_KINDS = ("CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor")
_FILTERS = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""Pillow's number of a filter -> torchvision's name, for those that every supported torchvision has."""
_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
}
# What changes no pixel of an RGB picture.
_WITHOUT_EFFECT = (
    "do_convert_rgb",
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "auto_map",
    "data_format",
    "input_data_format",
    "device",
    "return_tensors",
    "disable_grouping",
    "use_fast",
    "transformers_version",
    "_valid_processor_keys",
    "_valid_kwargs_names",
)


@dataclass(frozen=True)
class ClipPreprocessing:
    """The steps of a picture, in order: resize, crop, multiply by `factor`, subtract `mean`, divide by `std`.

    `edge` is the length of the shorter edge, or (height, width); None leaves the picture as large as it is. `crop` is
    the edge of the square in the middle, filled up with black; None takes the whole picture.
    """

    edge: int | tuple[int, int] | None
    filter: str
    crop: int | None
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def fit(self, picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """`[H, W, 3]` uint8 -> `[size, size, 3]`, `size` being the one that `read_preprocessing` was given."""
        if isinstance(self.edge, int):
            picture = without_far_ends(picture, math.ceil((self.crop or 0) / self.edge))
        pixels = torch.tensor(np.ascontiguousarray(picture)).permute(2, 0, 1)
        if self.edge is not None:
            shape = self.edge if isinstance(self.edge, tuple) else self._scaled(self.edge, *pixels.shape[1:])
            mode = transforms.InterpolationMode(self.filter)
            pixels = transforms.resize(pixels, list(shape), interpolation=mode, antialias=True)
        if self.crop is not None:
            pixels = _crop(pixels, self.crop)
        return pixels.permute(1, 2, 0).contiguous().numpy()

    @staticmethod
    def _scaled(edge: int, height: int, width: int) -> tuple[int, int]:
        longer = int(edge * max(height, width) / min(height, width))
        return (edge, longer) if height <= width else (longer, edge)


def _crop(pixels: torch.Tensor, edge: int) -> torch.Tensor:
    height, width = pixels.shape[1:]
    high, wide = max(edge - height, 0), max(edge - width, 0)
    pixels = transforms.pad(pixels, [wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2], fill=0)
    height, width = pixels.shape[1:]
    cropped: torch.Tensor = transforms.crop(pixels, (height - edge) // 2, (width - edge) // 2, edge, edge)
    return cropped


def read_preprocessing(model: str, size: int) -> ClipPreprocessing | None:
    """What is stated beside the weights of `model`, a folder or a name on the hub, which reads `size` x `size` pixels.

    As transformers' image processor for CLIP reads it, defaults included; None when nothing is stated. Raises
    CheckpointError when it cannot be read, and when it asks for what is not done here.
    """
    stated = _stated(model)
    if stated is None:
        return None
    file, values = stated
    try:
        return _checked(values, size)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise CheckpointError(
            "how pictures are prepared for these weights is not supported",
            where=str(file),
            found=reason(error),
            hint="resize: crop takes only image_mean and image_std from there, and prepares the rest as OpenAI's CLIP",
        ) from None


def _stated(model: str) -> tuple[Path, Mapping[str, Any]] | None:
    folder = find_model(model)
    files = [folder / name for name in _FILES if (folder / name).is_file()] if folder is not None else []
    for file in files or _download(model, folder):
        try:
            if file.stat().st_size > _LARGEST_FILE:
                raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
            values = json.loads(file.read_text(encoding="utf-8"))
            if file.name == _FILES[0]:
                values = values.get("image_processor")
            if values is None:
                continue
            if not isinstance(values, dict):
                raise ValueError(f"not an object, but {short_repr(values)}")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                "how pictures are prepared for these weights cannot be read", where=str(file), found=reason(error)
            ) from None
        return file, values
    return None


def _download(model: str, folder: Path | None) -> list[Path]:
    """The files of a model on the hub, of which transformers downloads the weights alone; none for a local folder."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    if not is_repository(model) or not (folder is None or folder.is_relative_to(constants.HF_HUB_CACHE)):
        return []
    check_hub(model)
    files = []
    for name in _FILES:
        try:
            files.append(Path(hf_hub_download(model, name)))
        except EntryNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{name} of {model!r} cannot be downloaded",
                found=reason(error),
                hint=f"put the model's whole folder under ${MODELS_VARIABLE}",
            ) from None
    return files


def _checked(values: Mapping[str, Any], size: int) -> ClipPreprocessing:
    kind = values.get("image_processor_type") or values.get("feature_extractor_type") or _KINDS[0]
    if kind not in _KINDS:
        raise ValueError(f"image_processor_type {short_repr(kind)}, which is none of {join_names(_KINDS)}")
    others = [key for key, value in values.items() if key not in _DEFAULTS and key not in _WITHOUT_EFFECT and value]
    if others:
        raise ValueError(f"{join_names(others)}, which the image processor of CLIP does not have or this does not do")
    facts = {**_DEFAULTS, **{key: value for key, value in values.items() if key in _DEFAULTS}}
    flags = [key for key in facts if key.startswith("do_") or key == "default_to_square"]
    for key in flags:
        if not isinstance(facts[key], bool):
            raise ValueError(f"{key}: {short_repr(facts[key])}, which is neither true nor false")
    edge = _edge(facts["size"], facts["default_to_square"]) if facts["do_resize"] else None
    crop = _edge(facts["crop_size"], True) if facts["do_center_crop"] else None
    result = crop if crop is not None else edge
    if result != (size, size):
        raise ValueError(f"pictures of {_shape(result)}, where the model reads {size} x {size}")
    if edge is not None and facts["resample"] not in tuple(_FILTERS):
        raise ValueError(
            f"resample: {short_repr(facts['resample'])}, which is none of {join_names(map(str, _FILTERS))}"
        )
    factor = _number(facts["rescale_factor"], "rescale_factor") if facts["do_rescale"] else 1.0
    if factor <= 0:
        raise ValueError(f"rescale_factor: {factor}, which is not above 0")
    mean, std = (_numbers(facts[key], key) for key in ("image_mean", "image_std"))
    if min(std) <= 0:
        raise ValueError(f"image_std: {short_repr(std)}, which is not above 0")
    if not facts["do_normalize"]:
        mean, std = (0.0,) * 3, (1.0,) * 3
    return ClipPreprocessing(
        edge,
        _FILTERS[facts["resample"]] if edge is not None else "",
        size if crop is not None else None,
        factor,
        mean,
        std,
    )


def _edge(value: Any, square: bool) -> int | tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"height": value, "width": value} if square else {"shortest_edge": value}
    elif isinstance(value, list) and len(value) == 2:
        value = {"height": value[0], "width": value[1]}
    if not isinstance(value, dict) or set(value) not in ({"shortest_edge"}, {"height", "width"}):
        raise ValueError(f"a size of {short_repr(value)}; shortest_edge alone, or height and width, are read")
    for number in value.values():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= _LARGEST_EDGE:
            raise ValueError(f"a size of {short_repr(value)}; whole numbers up to {_LARGEST_EDGE} are read")
    return value["shortest_edge"] if "shortest_edge" in value else (value["height"], value["width"])


def _shape(edge: int | tuple[int, int] | None) -> str:
    if edge is None:
        return "their own size (do_resize and do_center_crop are false)"
    return f"{edge[0]} x {edge[1]}" if isinstance(edge, tuple) else f"a shorter edge of {edge}, not square"


def _number(value: Any, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{key}: {short_repr(value)}, which is no number")
    return float(value)


def _numbers(values: Any, key: str) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
        raise ValueError(f"{key}: {short_repr(values)}, which is not three numbers")
    return tuple(_number(value, key) for value in values)
