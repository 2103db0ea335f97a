"""Build a timm model as a feature extractor and check its width."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from affectgpt.plugins.encoders.timm_base import TimmConfig
from affectgpt.plugins.encoders.timm_facts import read_facts
from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.known_models import MODELS_VARIABLE, find_model
from affectgpt.registry.errors import CheckpointError, InterfaceError
from affectgpt.registry.messages import reason, short_repr


def build_timm(config: TimmConfig, *, channels: int, size: tuple[int, int] | None, dim: int) -> nn.Module:
    """The timm model of `config` without its classifier, in evaluation mode.

    `size` is the (height, width) of its input, None for its default. Raises InterfaceError when timm does not know
    the model or its arguments, when it cannot read pictures of that size, and when its features are not `dim` wide;
    CheckpointError when pretrained weights are missing or do not fit.
    """
    where = f"timm model {config.model!r}"
    weights = facts = None
    if config.init == "pretrained":
        weights, folder = _weights(config, where)
        if config.facts == "stated":
            facts = read_facts(folder, config.model.split(".")[0], channels=channels)
    arguments = {**(facts.model_args if facts else {}), **config.model_args}
    try:
        model: nn.Module = timm.create_model(
            config.model.split(".")[0] if facts else config.model,
            pretrained=weights is not None,
            pretrained_cfg=dict(facts.pretrained_cfg) if facts else None,
            pretrained_cfg_overlay={"state_dict": weights} if weights is not None else None,
            num_classes=0,
            in_chans=channels,
            **arguments,
        ).eval()
    except Exception as error:
        raise InterfaceError(
            "timm cannot build this model",
            where=where,
            found=reason(error),
            hint="timm.list_models() lists the names; check model_args",
            path=("model_args",) if config.model_args else ("model",),
        ) from None
    if weights is not None:
        missing = sorted(set(model.state_dict()) - set(weights))
        if missing:
            raise CheckpointError(
                f"{len(missing)} weights are missing", where=where, found=f"no {', '.join(missing[:8])}"
            )
    if facts and config.tokens == "pooled":
        _check_pooling(model, facts.global_pool, arguments, where)
    _check_features(model, config, channels, size or picture_format(model)[:2], dim, where)
    return model


def features(model: nn.Module, config: TimmConfig, pictures: Tensor) -> Tensor:
    """Pictures `[N, C, H, W]` -> pooled features `[N, D]`, or with `tokens: all` `[N, positions, D]`, row by row."""
    if config.tokens == "pooled":
        pooled: Tensor = model(pictures)
        return pooled
    grid: Tensor = model.forward_features(pictures)  # type: ignore[operator]
    if grid.ndim == 4 and getattr(model, "output_fmt", "NCHW") == "NHWC":
        return grid.flatten(1, 2)
    return grid.flatten(2).transpose(1, 2) if grid.ndim == 4 else grid


class PictureFormat(NamedTuple):
    """The pictures that a timm model was made for: size in pixels, and mean and deviation per channel.

    And how others are brought to that size, in timm's words.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str


def picture_format(model: nn.Module) -> PictureFormat:
    """The picture format in timm's config of `model`."""
    data: dict[str, Any] = resolve_model_data_config(model)
    _, height, width = data["input_size"]
    ways = (data[name] for name in ("interpolation", "crop_pct", "crop_mode"))
    return PictureFormat(height, width, tuple(data["mean"]), tuple(data["std"]), *ways)


def _check_pooling(model: nn.Module, stated: str, arguments: Mapping[str, Any], where: str) -> None:
    """Raise InterfaceError when timm builds the model with another pooling than the exported one had."""
    pool = getattr(model, "global_pool", None) or getattr(getattr(model, "head", None), "global_pool", None)
    name = getattr(pool, "pool_type", pool)
    if stated and isinstance(name, str) and name != stated and "global_pool" not in arguments:
        raise InterfaceError(
            "timm builds this model with another pooling than its weights had",
            where=where,
            found=f"global_pool: {short_repr(stated)} in config.json, {name!r} by default",
            hint=f"state which one: model_args: {{global_pool: {name}}}",
            path=("model_args",),
        )


def _check_features(
    model: nn.Module, config: TimmConfig, channels: int, size: tuple[int, int], dim: int, where: str
) -> None:
    shape = f"{channels} x {size[0]} x {size[1]}"
    try:
        with torch.no_grad():
            shape_found = list(features(model, config, torch.zeros(1, channels, *size)).shape[1:])
    except Exception as error:
        raise InterfaceError(
            f"this model does not read pictures of {shape}",
            where=where,
            found=reason(error),
            hint="give another size, or the model's own argument for it (model_args: {img_size: ...})",
            path=("model_args",) if config.model_args else ("model",),
        ) from None
    expected = [dim] if config.tokens == "pooled" else [config.per_picture(), dim]
    if shape_found == expected:
        return
    if len(shape_found) != len(expected):
        hint = "the model must pool: global_pool: avg" if config.tokens == "pooled" else "the model must not pool"
    else:
        hint = f"features: {shape_found[-1]}" + (f", positions: {shape_found[0]}" if config.tokens == "all" else "")
    raise InterfaceError(
        "the declared width is not the model's"
        if shape_found[-1] != dim
        else "the declared positions are not the model's",
        where=where,
        found=f"features of shape {shape_found}",
        expected=str(expected),
        hint=hint,
        path=("features",) if shape_found[-1] != dim else ("positions",),
    )


def weight_sources(model: str) -> list[str]:
    """Under which names the weights of a timm model are looked for: its repository on the hub, then its own name."""
    repository = getattr(get_pretrained_cfg(model), "hf_hub_id", None)
    return list(dict.fromkeys(name for name in (repository, f"timm/{model}") if name))


def _weights(config: TimmConfig, where: str) -> tuple[dict[str, Any], Path]:
    """The weights of a model, and the folder that they are in."""
    repository = getattr(get_pretrained_cfg(config.model), "hf_hub_id", None)
    names = weight_sources(config.model)
    folder = next((folder for folder in map(find_model, names) if folder), None)
    try:
        if folder is not None:
            file = folder / "model.safetensors"
        elif repository:
            from huggingface_hub import hf_hub_download

            check_hub(repository)
            file = Path(hf_hub_download(repository, "model.safetensors"))
        else:
            raise OSError("timm names no weights for it")
        weights: dict[str, Any] = safetensors.torch.load_file(file)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            "there are no weights for this model",
            where=where,
            found=reason(error),
            expected=f"model.safetensors in ${MODELS_VARIABLE}/{names[0]}, or a connection to the hub",
            hint="init: random builds it without weights",
        ) from None
    return weights, file.parent
