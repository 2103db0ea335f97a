"""The facts that timm writes beside the weights of a model: its arguments, and the pictures that it was made for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affectgpt.plugins.encoders.timm_base import SET_BY_THE_ENCODER
from affectgpt.registry.errors import CheckpointError, join_names
from affectgpt.registry.messages import reason, short_repr

_LARGEST_FILE = 4 * 1024 * 1024
_LARGEST_EDGE = 2048
# Where weights come from and how a download is unpacked: these ones are in the folder.
_SOURCES = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load")
# At the top of older files, and of no meaning without the classifier.
_OF_THE_CLASSIFIER = ("label_names", "label_descriptions", "labels", "label_offset")
_OUTSIDE = ("architecture", "num_features", "global_pool", "model_args")
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "box", "hamming")
CROP_MODES = ("center", "squash", "border")


@dataclass(frozen=True)
class TimmFacts:
    """`pretrained_cfg` and `model_args` as timm takes them; `global_pool` is the pooling of the exported model."""

    pretrained_cfg: Mapping[str, Any]
    model_args: Mapping[str, Any] = field(default_factory=dict)
    global_pool: str = ""


def read_facts(folder: Path, architecture: str, *, channels: int) -> TimmFacts | None:
    """What `config.json` in `folder` states of a model that reads pictures of `channels`; None without that file.

    Raises CheckpointError when it cannot be read, describes another architecture, or states what is not supported.
    """
    file = folder / "config.json"
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
        content = json.loads(file.read_text(encoding="utf-8"))
        # Older files hold everything in one section.
        stated, arguments = (
            _section(content, name, default) for name, default in (("pretrained_cfg", content), ("model_args", {}))
        )
        if content["architecture"] != architecture:
            raise ValueError(f"weights of {short_repr(content['architecture'])}")
        inputs = arguments.pop("in_chans", None) or stated.get("input_size", (3,))[0]
        if inputs != channels and channels == 3:
            raise ValueError(f"a model that reads {short_repr(inputs)} channels")
        arguments.pop("num_classes", None)
        forbidden = [name for name in arguments if name in SET_BY_THE_ENCODER]
        if forbidden:
            raise ValueError(f"model_args.{forbidden[0]}, which is not a fact of the weights")
        stated["num_classes"] = content.get("num_classes", stated.get("num_classes", 1000))
        if stated.get("fixed_input_size") and arguments.get("img_size") is not None:
            edges = arguments["img_size"]
            stated["input_size"] = [inputs, *(edges if isinstance(edges, list) else [edges, edges])]
        _check_pictures(stated)
        left_out = (*_SOURCES, *_OF_THE_CLASSIFIER, *_OUTSIDE)
        return TimmFacts(
            {key: value for key, value in stated.items() if key not in left_out},
            arguments,
            str(content.get("global_pool") or ""),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            "what is stated beside the weights cannot be used",
            where=str(file),
            found=reason(error) if isinstance(error, ValueError | OSError) else repr(error)[:200],
            expected=f"the config.json of a {architecture}, as timm writes it",
            hint="facts: ignored takes the weights alone, and what timm says of this name",
        ) from None


def _section(content: Mapping[str, Any], name: str, default: Mapping[str, Any]) -> dict[str, Any]:
    section = content.get(name, default)
    if not isinstance(section, dict):
        raise ValueError(f"{name}: {short_repr(section)}, which is no section")
    return dict(section)


def _check_pictures(stated: Mapping[str, Any]) -> None:
    """Raise ValueError, which names the fact, when pictures cannot be prepared as `stated`; what is absent is right."""
    for key in ("mean", "std"):
        numbers = stated.get(key, (1, 1, 1))
        if not isinstance(numbers, Sequence) or len(numbers) != 3 or not all(map(_is_number, numbers)):
            raise ValueError(f"{key}: {short_repr(numbers)}, which is not three numbers")
    if min(stated.get("std", (1,))) <= 0:
        raise ValueError(f"std: {short_repr(stated['std'])}, which is not above 0")
    for key, names in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
        if stated.get(key, names[0]) not in names:
            raise ValueError(f"{key}: {short_repr(stated[key])}, which is none of {join_names(names)}")
    share = stated.get("crop_pct", 1)
    if not _is_number(share) or not 0.1 <= share <= 2:
        raise ValueError(f"crop_pct: {short_repr(share)}, which is no share")
    size = stated.get("input_size", (3, 1, 1))
    whole = isinstance(size, Sequence) and len(size) == 3 and all(type(edge) is int for edge in size)
    if not whole or not all(0 < edge <= _LARGEST_EDGE for edge in size):
        raise ValueError(f"input_size: {short_repr(size)}, which is not channels, height and width")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
